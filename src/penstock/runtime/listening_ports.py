"""What listens at a port, when what was asked for does not answer there: told by its greeting, so that people know what to mend.

It is told nothing that is secret, and each look ends within seconds.
"""

import asyncio
import ssl
from contextlib import suppress

GREETING_S = 0.4  # within which a server speaks that speaks first
ANSWER_S = 2.5
BYTES_MAX = 512
# A line that Redis answers, and one that ends what HTTP takes for a request.
QUESTION = b"PING\r\n\r\n"
BEGINNINGS = {
    b"INFO {": "NATS",
    b"+PONG": "Redis",
    b"-NOAUTH": "Redis",
    b"-ERR": "Redis",
    b"-DENIED": "Redis",
    b"HTTP/": "HTTP",
    b"<": "HTTP",  # a page, of one that takes what it does not understand for HTTP 0.9
}


async def what_listens(host: str, port: int) -> str:
    """Return "TLS", "HTTP", "NATS" or "Redis"; empty for what is none of them, or does not answer."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2 * ANSWER_S):
            if found := await _greeting(host, port):
                return found
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(2 * ANSWER_S):
            return "TLS" if await _speaks_tls(host, port) else ""
    return ""


async def _greeting(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        heard = await _heard(reader, GREETING_S)
        if not heard:
            writer.write(QUESTION)
            heard = await _heard(reader, ANSWER_S)
    finally:
        writer.close()
    return next((name for beginning, name in BEGINNINGS.items() if heard.startswith(beginning)), "")


async def _heard(reader: asyncio.StreamReader, within_s: float) -> bytes:
    try:
        async with asyncio.timeout(within_s):
            return await reader.read(BYTES_MAX)
    except TimeoutError:
        return b""


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether a server greets over TLS, whoever it says that it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context, ssl_handshake_timeout=ANSWER_S)
    except ssl.SSLError as error:
        return "alert" in str(error).lower()  # it is TLS that refuses us
    writer.close()
    return True
