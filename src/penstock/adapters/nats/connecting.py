"""The connection to a NATS, what is wrong where there is none, and what a server refuses later.

`nats://HOST:PORT,HOST:PORT?prefix=NAME&replicas=3`; `tls://` or one of `ssl.ca.location`, `ssl.certificate.location` and
`ssl.key.location` asks for TLS. User and password, or a token, may stand before the first host; `NATS_USER` and `NATS_PASSWORD`,
or `NATS_TOKEN`, are better places for them. `credentials=FILE` or `nkey=FILE` (`NATS_CREDENTIALS`, `NATS_NKEY_SEED`) name a key.

The library would go on in the clear where TLS is asked for and the server has none: who we are is told to nobody then.
"""

import asyncio
import os
import re
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from penstock.core.events.broker_address import CA, CERTIFICATE, KEY, TLS, read_address
from penstock.core.events.tls_errors import tls_setting_of
from penstock.errors import Finding, Invalid, Missing, NotLetIn, PenstockError, Unavailable

try:
    from nats.errors import (
        AuthorizationError,
        ConnectionReconnectingError,
        Error,
        NoRespondersError,
        SecureConnWantedError,
    )
    from nats.js.errors import APIError, ServiceUnavailableError
except ImportError as error:
    raise Missing("the package nats-py", "pip install 'penstock[nats]'") from error

from penstock.adapters.nats.client import RawClient
from penstock.adapters.nats.credentials import CREDENTIALS, NKEY, Access, access_of

ANSWER_S = 5.0
SURE = 2  # complaints of each server, after which no more is waited for
OPTIONS = ("partitions", "prefix", "replicas", "create", "retention_s", CREDENTIALS, NKEY, *TLS)
EXAMPLE = "nats://HOST:PORT, several with commas between"
RIGHTS = "our user's rights (publish to $JS.API.> and the topics' subjects, subscribe to _INBOX.>)"
LATELY_S = 20.0  # what was forbidden within so long is why a call timed out
NO_ROOM = 10047  # JetStream's code: more replicas than servers, or no room
NO_REPLICAS = 10074


class Address(NamedTuple):
    """Where a NATS is, and who we are there. It may hold a password: it is shown to nobody."""

    hosts: Sequence[str]
    access: Access
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
    access = access_of(given, environment, findings)
    is_secured = url.startswith("tls:") or any(options.get(each) for each in TLS)
    tls = _tls(options, findings) if is_secured else None
    if findings:
        raise Invalid("the settings", tuple(findings))
    return Address(given.hosts, access, tls, options)


@asynccontextmanager
async def open_connection(address: Address) -> AsyncGenerator[tuple[Any, "Complaints"]]:
    """Yield a connection, and what it complains of. `Invalid` names the setting, `Unavailable`: nobody answers."""
    complaints = Complaints(len(address.hosts), address.access.setting)
    client: Any = RawClient(lambda server: _who(address, server))  # parts of it are not typed
    connecting = {"connect_timeout": ANSWER_S / 2, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.2}
    secured = {} if address.tls is None else {"tls": address.tls}
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.connect(
                [f"nats://{each}" for each in address.hosts],
                allow_reconnect=True,
                error_cb=complaints.heard,
                disconnected_cb=complaints.disconnected,
                **connecting,
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
    """What the library says while it goes on, as it does for ever. `access`: the setting that says who we are."""

    def __init__(self, servers: int, access: str) -> None:
        self.is_connected = False
        self.failed: Callable[[Exception], None] = _unheard  # called where an answer will not come
        self._access = access
        self._last: Exception | None = None
        self._last_s = 0.0
        self._forbidden: tuple[Exception, float] | None = None
        self._left = SURE * servers

    async def heard(self, error: Exception) -> None:
        """Keep an error; while connecting, give up at one that will not end by itself."""
        if "permissions violation" in str(error).lower():
            self._forbidden = error, time.monotonic()
            self.failed(error)
        # That it is not connected comes after what says why.
        if self._setting_of(error) or self._last is None or not self._setting_of(self._last):
            self._last, self._last_s = error, time.monotonic()
        if not self.is_connected and self._setting_of(error):
            self._left -= 1
            if self._left <= 0:
                raise error

    async def disconnected(self) -> None:
        """The connection is gone, and all answers that were to come over it."""
        self.failed(ConnectionReconnectingError())

    def of_start(self, error: BaseException) -> PenstockError:
        """Return what to raise where there is no connection."""
        cause = self._last if self._last is not None and not self._setting_of(error) else error
        if setting := self._setting_of(cause):
            problem = f"NATS does not let us in: {_told(cause)}"
            return Invalid("the settings", (Finding("log", problem, f"set {setting}"),))
        return Unavailable("NATS", "connect", _told(cause))

    def forbidden(self, operation: str) -> NotLetIn | None:
        """Return what was forbidden lately. It comes beside the call, which times out then, or brings nothing."""
        if self._forbidden is None or time.monotonic() - self._forbidden[1] > LATELY_S:
            return None
        return NotLetIn("NATS", operation, RIGHTS, _told(self._forbidden[0]))

    def error(self, operation: str, error: BaseException) -> PenstockError:
        """Return what to raise for an error of the library, now that there was a connection."""
        if forbidden := self.forbidden(operation):
            return forbidden
        if isinstance(error, NoRespondersError | ServiceUnavailableError):
            return NotLetIn(
                "NATS", operation, "jetstream on the server (nats-server -js), or another log", _told(error)
            )
        if isinstance(error, APIError) and error.err_code in {NO_ROOM, NO_REPLICAS}:
            return Invalid(
                "the settings", (Finding("log", _told(error), "set replicas= to what the servers can keep"),)
            )
        # While it connects again, and is not let in, a call says that there is no connection.
        lately = self._last if time.monotonic() - self._last_s < LATELY_S else None
        for each in (error, lately):
            if each is not None and (setting := self._setting_of(each)):
                return NotLetIn("NATS", operation, setting, _told(each))
        return Unavailable("NATS", operation, _told(error))

    def _setting_of(self, error: BaseException) -> str:
        """Return what to set when this went wrong; empty when it is no setting that is wrong."""
        text = str(error).lower()
        if isinstance(error, AuthorizationError | KeyLostError) or "authorization" in text or "authentication" in text:
            return self._access
        if isinstance(error, SecureConnWantedError):
            return "the setting log without TLS (nats://, no ssl.*), or tls on the server"
        if told := tls_setting_of(error):
            return f"the setting log: {told}"
        if "expecting info" in text:
            return "the setting log (what listens there is no NATS)"
        return ""


def _unheard(_: Exception) -> None:
    """Nobody waits."""


class KeyLostError(Error):
    """What says who we are cannot be read any more: the library goes on trying where it is one of its own errors."""


def _who(address: Address, server: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what is told of us, over TLS alone where that is asked for."""
    if address.tls is not None and not server.get("tls_required"):
        raise SecureConnWantedError
    try:
        return address.access.answer(server.get("nonce", ""))
    except Invalid as error:
        raise KeyLostError(str(error)) from error


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
