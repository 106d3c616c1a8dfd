"""A schema registry that speaks Confluent's API: theirs, or one of penstock's own (`app.schemas()`, at `/v1/registry`).

User and password may stand in the address; `SCHEMA_REGISTRY_USERNAME` and `SCHEMA_REGISTRY_PASSWORD` are better places for them.
"""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urlsplit

import msgspec

from penstock.core.schemas.registry import Kind
from penstock.errors import Finding, Invalid, Missing, NotLetIn, Refused, Unavailable

if TYPE_CHECKING:
    import httpx2

ANSWER_S = 5.0
ANSWER_BYTES_MAX = 8 * 1024 * 1024
WORDS_MAX = 2000
ACCESS = "SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD"
SETTING = "registry= in the setting log"
CONTENT = "application/vnd.schemaregistry.v1+json"
_NOT_FOUND, _CONFLICT, _UNFIT = 404, 409, 422


@asynccontextmanager
async def open_registry(url: str, environment: Mapping[str, str] | None = None) -> AsyncGenerator["ConfluentRegistry"]:
    """Yield what asks the registry of an address; `Invalid` for what is none. Whether it answers, the first question tells."""
    try:
        import httpx2
    except ImportError as error:
        raise Missing("httpx2, which asks a schema registry,", "pip install 'penstock[http]'") from error
    environment = os.environ if environment is None else environment
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.path:
        raise Invalid("the settings", (Finding("log", "registry= names no address", "registry=http://HOST:PORT"),))
    user = unquote(parts.username or "") or environment.get("SCHEMA_REGISTRY_USERNAME", "")
    password = unquote(parts.password or "") or environment.get("SCHEMA_REGISTRY_PASSWORD", "")
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    async with httpx2.AsyncClient(
        timeout=ANSWER_S, headers={"Content-Type": CONTENT}, auth=(user, password) if user else None
    ) as client:
        yield ConfluentRegistry(client, where)


class ConfluentRegistry:
    """A `SchemaRegistry` behind an address."""

    def __init__(self, client: "httpx2.AsyncClient", where: str) -> None:
        self._client = client
        self._where = where

    async def registered(self, subject: str, document: str) -> int:
        path = f"/subjects/{quote(subject, safe='')}"
        given = {"schema": document, "schemaType": "AVRO"}
        # Whoever may only read finds what is there, and need not register it again.
        status, found = await self._asked("POST", path, given)
        if status == _NOT_FOUND:
            status, found = await self._asked("POST", f"{path}/versions", given)
        if status in {_CONFLICT, _UNFIT}:
            hint = f"give the event a new topic, or the subject another compatibility; the registry is {self._where}"
            raise Invalid("the schemas", (Finding(subject, f"the registry refuses it: {_words(found)}", hint),))
        if not isinstance(found.get("id"), int):
            raise self._other(status, found, "register a schema")
        return int(found["id"])

    async def schema(self, id: int) -> tuple[Kind | str, str]:
        status, found = await self._asked("GET", f"/schemas/ids/{id}")
        if status == _NOT_FOUND and found:  # what is no registry answers with no object
            raise Missing(f"the schema with id {id}", f"the registry {self._where} has none such")
        if not isinstance(found.get("schema"), str):
            raise self._other(status, found, "get a schema")
        return str(found.get("schemaType", "AVRO")), found["schema"]

    async def _asked(
        self, method: str, path: str, given: Mapping[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        import httpx2

        operation = f"{method} {path}"
        try:
            body = None if given is None else msgspec.json.encode(given)
            answer = await self._client.request(method, self._where + path, content=body)
        except httpx2.HTTPError as error:
            reason = f"{self._where}: {type(error).__name__} {error}".rstrip()
            if "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
                raise NotLetIn("the schema registry", operation, f"{SETTING}, and SSL_CERT_FILE", reason) from error
            raise Unavailable("the schema registry", operation, f"{reason}; see {SETTING}") from error
        if answer.status_code in {401, 403}:
            raise NotLetIn("the schema registry", operation, ACCESS, f"{self._where}: status {answer.status_code}")
        if answer.status_code >= 500:  # noqa: PLR2004 - the server's own fault
            raise Unavailable("the schema registry", operation, f"{self._where}: status {answer.status_code}")
        try:
            found: Any = msgspec.json.decode(answer.content[:ANSWER_BYTES_MAX])
        except msgspec.MsgspecError:
            found = None
        return answer.status_code, cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def _other(self, status: int, found: Mapping[str, Any], operation: str) -> Refused:
        told = _words(found) or f"status {status}"
        return Refused(f"{self._where} did not {operation}: {told}", f"is it a schema registry? See {SETTING}")


def _words(found: Mapping[str, Any]) -> str:
    """Return what a registry says is wrong: Confluent's message, or our findings."""
    findings: Any = found.get("findings")
    if isinstance(findings, list):
        told = [cast("dict[str, Any]", each) for each in cast("list[Any]", findings) if isinstance(each, dict)]
        return "; ".join(f"{each.get('path')}: {each.get('problem')}" for each in told)[:WORDS_MAX]
    return str(found.get("message", "") or found.get("detail", "") or found.get("title", ""))[:WORDS_MAX]
