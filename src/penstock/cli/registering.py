"""What `penstock schema` does with a registry: of a store that no app has open, or over HTTP with the app that runs."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from penstock.cli.looking import print_json, print_table
from penstock.core.schemas.registry import Version
from penstock.errors import Finding, Missing
from penstock.runtime.schemas import Schemas

T = TypeVar("T")
APP = "knowledge"
COLUMNS = (("subject", "version", "id", "type"), ("subject", "version"), ("subject",))


@dataclass(frozen=True, slots=True)
class Place:
    """Whose registry, and where it lies."""

    tenant: str
    store: str | None
    url: str | None


def register(place: Place, subject: str, file: Path, kind: str, mode: str | None) -> Version:
    """Register what a file holds; `Invalid` with all that is in the way."""
    document = _document(file)
    if place.url is not None:
        from penstock.cli.remote import posted, sent

        if mode:
            sent(place.url, f"{_BASE}/config/{quote(subject, safe='')}", {"compatibility": mode}, tenant=place.tenant)
        body = {"schema": document, "schemaType": kind}
        posted(place.url, f"{_BASE}/subjects/{quote(subject, safe='')}/versions", body, tenant=place.tenant)
        return _asked_version(place, subject, document, kind)

    async def work(schemas: Schemas) -> Version:
        if mode:
            await schemas.choose(mode, subject)
        return await schemas.register(subject, document, kind=kind)

    return _on(place, work)


def check(place: Place, subject: str, file: Path, kind: str, *, as_json: bool) -> int:
    document = _document(file)
    findings: Sequence[Finding | str]
    if place.url is not None:
        from penstock.cli.remote import posted

        path = f"{_BASE}/compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        findings = posted(place.url, path, {"schema": document, "schemaType": kind}, tenant=place.tenant)["messages"]
    else:
        findings = _on(place, lambda schemas: schemas.check(subject, document, kind=kind))
    if as_json:
        print_json({"compatible": not findings, "findings": [str(each) for each in findings]})
    else:
        print("compatible" if not findings else "\n".join(["not compatible:", *(f"  {each}" for each in findings)]))
    return 1 if findings else 0


def show(place: Place, subject: str | None, limit: int, *, as_json: bool) -> None:
    async def work(schemas: Schemas) -> list[Version]:
        if subject is not None:
            return list(await schemas.versions(subject))
        return [await schemas.version(each) for each in await schemas.subjects()]

    found = (_listed(place, subject) if place.url is not None else _on(place, work))[:limit]
    if as_json:
        print_json([msgspec.to_builtins(each) for each in found])
        return
    rows = [
        {"subject": each.subject, "version": str(each.version), "id": str(each.id), "type": each.kind, "reason": ""}
        for each in found
    ]
    print_table(COLUMNS, rows)


def print_version(found: Version, *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print(f"{found.subject}: version {found.version}, id {found.id}")


_BASE = "/v1/registry"


def _listed(place: Place, subject: str | None) -> list[Version]:
    from penstock.cli.remote import asked

    assert place.url is not None
    names: list[str] = [subject] if subject else asked(place.url, f"{_BASE}/subjects", tenant=place.tenant)
    found: list[Version] = []
    for name in names:
        path = f"{_BASE}/subjects/{quote(name, safe='')}/versions"
        numbers: list[int] = asked(place.url, path, tenant=place.tenant)
        wanted = numbers if subject else numbers[-1:]
        found += [_version(asked(place.url, f"{path}/{number}", tenant=place.tenant)) for number in wanted]
    return found


def _asked_version(place: Place, subject: str, document: str, kind: str) -> Version:
    from penstock.cli.remote import posted

    assert place.url is not None
    body = {"schema": document, "schemaType": kind}
    return _version(posted(place.url, f"{_BASE}/subjects/{quote(subject, safe='')}", body, tenant=place.tenant))


def _version(said: dict[str, Any]) -> Version:
    return Version(said["subject"], said["version"], said["id"], said.get("schemaType", "AVRO"), said["schema"])


def _document(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    if not file.is_file():
        raise Missing(str(file), "name a file that holds the schema, as JSON")
    return file.read_text(encoding="utf-8")


def _on(place: Place, work: Callable[[Schemas], Awaitable[T]]) -> T:
    from penstock.app import App
    from penstock.cli.knowing import owned
    from penstock.settings import settings

    app = App(APP)
    app.schemas()

    async def running() -> T:
        async with app.running(settings({"store": place.store})) as live:
            return await work(live.schemas(tenant=place.tenant))

    return owned(running)
