"""What authorises calls of APIs, by name: declared with the app, so that no secret stands in a definition, event or history."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from msgspec.structs import replace

from penstock.core.asl.services.http_calls import Connection, HttpRequest, HttpResponse, OAuth
from penstock.errors import Missing, Refused
from penstock.ports.clock import Clock

Send: TypeAlias = Callable[[HttpRequest, float], Awaitable[HttpResponse]]
"""Makes a call within some seconds; raises `Unavailable` when nobody answered."""
Declared: TypeAlias = "Connection | Callable[[], Connection]"

TOKEN_TIMEOUT_S: Final = 30.0
TOKEN_LIFE_S: Final = 300.0
_EARLY_S: Final = 30.0  # a token is renewed so long before it ends


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until_s: float


class Connections:
    """The connections of an app. What a function gives is asked for with each call, so that a secret may change."""

    def __init__(self, declared: Mapping[str, Declared], send: Send, clock: Clock) -> None:
        self._declared = declared
        self._send = send
        self._clock = clock
        self._tokens: dict[str, _Token] = {}

    async def authorised(self, name: str) -> Connection:
        """Return what a call through a connection carries. `Missing` when there is none of that name."""
        declared = self._declared.get(name)
        if declared is None:
            hint = f"app.connection({name!r}, ...): this app has {', '.join(self._declared) or 'none'}"
            raise Missing(f"the connection {name!r}", hint)
        connection = declared if isinstance(declared, Connection) else declared()
        authorization = ""
        if connection.basic is not None:
            authorization = f"Basic {base64.b64encode(':'.join(connection.basic).encode()).decode()}"
        elif connection.oauth is not None:
            authorization = f"Bearer {await self._token(name, connection.oauth)}"
        if not authorization:
            return connection
        return replace(connection, headers={**connection.headers, "Authorization": authorization})

    async def _token(self, name: str, oauth: OAuth) -> str:
        now_s = self._clock.monotonic_s()
        known = self._tokens.get(name)
        if known is not None and known.until_s > now_s:
            return known.text
        client = base64.b64encode(f"{oauth.client_id}:{oauth.client_secret}".encode()).decode()
        headers = (
            ("Authorization", f"Basic {client}"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
        )
        body = urlencode({"grant_type": "client_credentials", **oauth.parameters}).encode()
        answer = await self._send(HttpRequest("POST", oauth.token_url, headers, body), TOKEN_TIMEOUT_S)
        if answer.status != HTTPStatus.OK:
            raise Refused(
                f"the connection {name!r} got no token (status {answer.status})", "look at its client and secret"
            )
        try:
            told: Any = json.loads(answer.body)
            token, life_s = str(told["access_token"]), float(told.get("expires_in", TOKEN_LIFE_S))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(f"the connection {name!r} got no token", "its token_url answers something else") from error
        self._tokens[name] = _Token(token, now_s + max(0.0, life_s - _EARLY_S))
        return token
