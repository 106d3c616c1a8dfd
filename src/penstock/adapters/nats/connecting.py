"""The connection to a NATS, what is wrong where there is none, and what a server refuses later.

`nats://HOST:PORT,HOST:PORT?prefix=NAME&replicas=3`; `tls://` or one of `ssl.ca.location`, `ssl.certificate.location` and
`ssl.key.location` asks for TLS. User and password, or a token, may stand before the first host; `NATS_USER` and `NATS_PASSWORD`,
or `NATS_TOKEN`, are better places for them.

The library would go on in the clear where TLS is asked for and the server has none: who we are is told to nobody then.
"""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from penstock.core.events.broker_address import CA, CERTIFICATE, KEY, TLS, read_address
from penstock.core.events.tls_errors import tls_setting_of
from penstock.errors import Finding, Invalid, Missing, NotLetIn, PenstockError, Unavailable

try:
    from nats.errors import AuthorizationError, Error, NoRespondersError, SecureConnWantedError
    from nats.js.errors import APIError, ServiceUnavailableError
except ImportError as error:
    raise Missing("the package nats-py", "pip install 'penstock[nats]'") from error

from penstock.adapters.nats.client import RawClient

ANSWER_S = 5.0
SURE = 2  # complaints of each server, after which no more is waited for
OPTIONS = ("partitions", "prefix", "replicas", "create", "retention_s", *TLS)
EXAMPLE = "nats://HOST:PORT, several with commas between"
ACCESS = "NATS_USER and NATS_PASSWORD, or NATS_TOKEN"
NO_ROOM = 10047  # JetStream's code: more replicas than servers, or no room
NO_REPLICAS = 10074


class Address(NamedTuple):
    """Where a NATS is, and who we are there. It may hold a password: it is shown to nobody."""

    hosts: Sequence[str]
    access: Mapping[str, str]
    tls: ssl.SSLContext | None
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Address({','.join(self.hosts)})"


def address_of(url: str, environment: Mapping[str, str] | None = None) -> Address:
    """Return what an address says; `Invalid` with all findings for what is none."""
    environment = os.environ if environment is None else environment
    given = read_address(url, OPTIONS, EXAMPLE)
    options, findings = given.options, list[Finding]()
    if not re.fullmatch(r"[1-5]", options.get("replicas", "1")):
        findings.append(Finding("log", f"replicas={options['replicas']}", "1 to 5"))
    if options.get("create", "yes") not in {"yes", "no"}:
        findings.append(Finding("log", f"create={options['create']}", "no, where others make the streams, or yes"))
    user, password = given.user or environment.get("NATS_USER", ""), given.password
    password = password or (environment.get("NATS_PASSWORD", "") if user else "")
    if given.user and not password:  # as NATS writes it: nats://TOKEN@HOST
        access = {"token": given.user}
    elif user:
        access = {"user": user, "password": password}
    else:
        access = {"token": token} if (token := environment.get("NATS_TOKEN", "")) else {}
    is_secured = url.startswith("tls:") or any(options.get(each) for each in TLS)
    tls = _tls(options, findings) if is_secured else None
    if findings:
        raise Invalid("the settings", tuple(findings))
    return Address(given.hosts, access, tls, options)


@asynccontextmanager
async def open_connection(address: Address) -> AsyncGenerator[tuple[Any, "Complaints"]]:
    """Yield a connection, and what it complains of. `Invalid` names the setting, `Unavailable`: nobody answers."""
    complaints = Complaints(len(address.hosts))
    client: Any = RawClient()  # parts of it are not typed
    access = {name: _guarded(client, address, value) for name, value in address.access.items()}
    connecting = {"connect_timeout": ANSWER_S / 2, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.2}
    secured = {} if address.tls is None else {"tls": address.tls}
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.connect(
                [f"nats://{each}" for each in address.hosts],
                allow_reconnect=True,
                error_cb=complaints.heard,
                **connecting,
                **access,
                **secured,
            )
    except (Error, OSError, TimeoutError, ValueError) as error:
        await _closed(client)
        raise complaints.of_start(error) from error
    complaints.is_connected = True
    try:
        yield client, complaints
    finally:
        await _closed(client)


class Complaints:
    """What the library says while it goes on, as it does for ever."""

    def __init__(self, servers: int) -> None:
        self.is_connected = False
        self._last: Exception | None = None
        self._forbidden: Exception | None = None
        self._left = SURE * servers

    async def heard(self, error: Exception) -> None:
        """Keep an error; while connecting, give up at one that will not end by itself."""
        if "permissions violation" in str(error).lower():
            self._forbidden = error
        # That it is not connected comes after what says why.
        if setting_of(error) or self._last is None or not setting_of(self._last):
            self._last = error
        if not self.is_connected and setting_of(error):
            self._left -= 1
            if self._left <= 0:
                raise error

    def of_start(self, error: BaseException) -> PenstockError:
        """Return what to raise where there is no connection."""
        cause = self._last if self._last is not None and not setting_of(error) else error
        if setting := setting_of(cause):
            problem = f"NATS does not let us in: {_told(cause)}"
            return Invalid("the settings", (Finding("log", problem, f"set {setting}"),))
        return Unavailable("NATS", "connect", _told(cause))

    def error(self, operation: str, error: BaseException) -> PenstockError:
        """Return what to raise for an error of the library, now that there was a connection."""
        forbidden, self._forbidden = self._forbidden, None
        if forbidden is not None:  # it came beside, and the call timed out
            problem = f"NATS forbids {operation!r}: {_told(forbidden)}"
            hint = "let our user publish to $JS.API.> and the topics' subjects, and subscribe to _INBOX.>"
            return Invalid("the rights of our user", (Finding("log", problem, hint),))
        if isinstance(error, NoRespondersError | ServiceUnavailableError):
            return NotLetIn(
                "NATS", operation, "jetstream on the server (nats-server -js), or another log", _told(error)
            )
        if isinstance(error, APIError) and error.err_code in {NO_ROOM, NO_REPLICAS}:
            return Invalid(
                "the settings", (Finding("log", _told(error), "set replicas= to what the servers can keep"),)
            )
        if setting := setting_of(error):
            return NotLetIn("NATS", operation, setting, _told(error))
        return Unavailable("NATS", operation, _told(error))


def setting_of(error: BaseException) -> str:
    """Return what to set when this went wrong; empty when it is no setting that is wrong."""
    text = str(error).lower()
    if isinstance(error, AuthorizationError) or "authorization" in text or "authentication" in text:
        return ACCESS
    if isinstance(error, SecureConnWantedError):
        return "the setting log without TLS (nats://, no ssl.*), or tls on the server"
    if told := tls_setting_of(error):
        return f"the setting log: {told}"
    if "expecting info" in text:
        return "the setting log (what listens there is no NATS)"
    return ""


def _guarded(client: Any, address: Address, value: str) -> Callable[[], str]:
    """Return what tells a secret to who asks for it, over TLS alone where that is asked for."""

    def told() -> str:
        known = client._server_info  # noqa: SLF001 - the library asks for it at no other time
        if address.tls is not None and not known.get("tls_required"):
            raise SecureConnWantedError
        return value

    return told


def _tls(options: Mapping[str, str], findings: list[Finding]) -> ssl.SSLContext | None:
    try:
        context = ssl.create_default_context(cafile=options.get(CA) or None)
    except (OSError, ssl.SSLError) as error:
        findings.append(Finding("log", f"{CA}: {_told(error)}", "name a file of certificates (PEM)"))
        return None
    if certificate := options.get(CERTIFICATE):
        try:
            context.load_cert_chain(
                certificate, options.get(KEY) or None, lambda: os.environ.get("NATS_KEY_PASSWORD", "")
            )
        except (OSError, ssl.SSLError) as error:
            findings.append(
                Finding("log", f"{CERTIFICATE}: {_told(error)}", "name files of a certificate and its key (PEM)")
            )
    return context


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__


async def _closed(client: Any) -> None:
    with suppress(TimeoutError, Error, OSError):  # whoever slept for long may be in the middle of connecting again
        async with asyncio.timeout(ANSWER_S):
            await client.close()
