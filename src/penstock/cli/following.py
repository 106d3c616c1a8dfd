"""`penstock runs follow`: what a run tells on its way, live from the app that serves it, or else what its store has."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import chain
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import typer

from penstock.cli.looking import Place, place, told_apart
from penstock.core.agents.pieces import ENDED, decode_pieces
from penstock.errors import Finding, Invalid, Missing, PenstockError, Refused, Unavailable
from penstock.gateway.pieces import shown
from penstock.runtime.following import end_of
from penstock.wiring import Catalog, opened_catalog

URL = "http://127.0.0.1:8080"
CONNECT_S = 3.0
SILENT_S = 60.0  # a server says four times as often that it is alive
AGAIN_S = 1.0
ATTEMPTS_MAX = 30
CHUNKS = 64
Told = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream, from an offset on."""

    run_id: str
    name: str = ""
    from_offset: int = 0
    tenant: str | None = None


def follow(wanted: Wanted, url: str | None, file: str | None, store: str | None, *, as_json: bool) -> None:
    """Print a stream; where no address is given and nobody serves the run at the usual one, what its store has."""
    run, app_file = told_apart(wanted.run_id, file, what="RUN")
    wanted = replace(wanted, run_id=run)
    told = follow_live(url, wanted) if url is not None else None if store is not None else _served(wanted)
    if told is None:
        told = iter(follow_stored(place(app_file, store, "runs", "follow", run), wanted))
    status = show(told, as_json=as_json)
    if status not in ("", "succeeded"):
        raise typer.Exit(1)
    if not status and not as_json:
        print("\nthe run goes on; to follow it live, give --url of the app that serves it", file=sys.stderr)


def _served(wanted: Wanted) -> Iterator[Told] | None:
    """Return what the app at the usual address tells of the run; None when it is not there, or has no such run."""
    told = follow_live(URL, wanted)
    try:
        return chain([next(told)], told)
    except (Missing, Unavailable, Refused):
        return None


def follow_live(url: str, wanted: Wanted) -> Iterator[Told]:
    """Yield what the app at an address tells, to the run's end; a connection that breaks is made again, by offset.

    Raises `Unavailable` when nobody answers: at once before the first piece, `ATTEMPTS_MAX` times after it. `Missing` when the
    app has no such run.
    """
    last, attempts, has_begun = -1, 0, False
    while True:
        try:
            for kind, data in _events(url, wanted, last):
                attempts, has_begun = 0, True
                if kind == "problem":
                    break
                last = max(last, data.get("offset", -1))
                yield kind, data
                if kind == ENDED:
                    return
        except (OSError, HTTPException) as error:
            attempts += 1
            if not has_begun or attempts >= ATTEMPTS_MAX:
                raise Unavailable(f"the app at {url}", "following the run", str(error)) from error
        time.sleep(AGAIN_S)


def follow_stored(place: Place, wanted: Wanted) -> list[Told]:
    """Return what the store has; without an end while the run goes on."""

    async def read(catalog: Catalog) -> AsyncGenerator[Told]:
        stored = await catalog.run(wanted.run_id)
        if stored is None or wanted.tenant not in (None, stored.change.tenant):
            raise Missing(f"the run {wanted.run_id!r}", "see `penstock runs list`")
        tenant, following = stored.change.tenant, wanted.from_offset
        while chunks := await catalog.pieces(tenant, wanted.run_id, wanted.name, from_offset=following, limit=CHUNKS):
            for piece in (each for chunk in chunks for each in decode_pieces(chunk)):
                if piece.offset >= following:
                    following = piece.offset + 1
                    yield piece.kind, shown(piece)
        for piece in end_of(stored.change, wanted.name, end=following, read_to=following):
            yield piece.kind, shown(piece)

    async def everything() -> list[Told]:
        with opened_catalog(place.url) as catalog:
            return [each async for each in read(catalog)]

    return asyncio.run(everything())


def show(told: Iterator[Told], *, as_json: bool) -> str:
    """Print what is told as it comes, and return how the run ended; empty while it goes on."""
    status = ""
    for kind, data in told:
        if kind == ENDED:
            status = data["status"]
        sys.stdout.write(f"{json.dumps({'kind': kind, **data})}\n" if as_json else _line(kind, data))
        sys.stdout.flush()
    return status


def _line(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "token":
            return data["text"]
        case "item":
            return f"\n{json.dumps(data['data'])}\n"
        case "reset":
            return f"\n--- attempt {data['attempt']}: the offsets {_spans(data['dropped'])} no longer stand ---\n"
        case _:
            reason = f": {data['reason']}" if data.get("reason") else ""
            return f"\n{data.get('status', kind)}{reason}\n"


def _spans(dropped: list[list[int]]) -> str:
    return ", ".join(str(first) if end == first + 1 else f"{first}-{end - 1}" for first, end in dropped)


def _events(url: str, wanted: Wanted, last: int) -> Iterator[Told]:
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise Invalid("the options", (Finding("--url", f"is {url!r}", "http://HOST:PORT"),))
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    with closing(kind(address.hostname, address.port, timeout=CONNECT_S)) as connection:
        query = urlencode({"name": wanted.name, "from": wanted.from_offset})
        headers = {"Accept": "text/event-stream"} | ({"X-Tenant": wanted.tenant} if wanted.tenant else {})
        if last >= 0:
            headers["Last-Event-ID"] = str(last)
        path = f"{address.path.rstrip('/')}/v1/runs/{quote(wanted.run_id, safe='')}/stream?{query}"
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        if response.status != 200:  # noqa: PLR2004 - OK
            raise _error(url, wanted, response)
        if response.headers.get_content_type() != "text/event-stream":
            raise Refused(f"{url} is the address of something else", "give --url of the app that serves the run")
        connection.sock.settimeout(SILENT_S)
        name = ""
        while line := response.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)


def _error(url: str, wanted: Wanted, response: HTTPResponse) -> PenstockError:
    body = response.read().decode(errors="replace")
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = body[:200]
    match response.status:
        case 404:
            return Missing(f"the run {wanted.run_id!r} at {url}", "see `penstock runs list`")
        case 429 | 503:
            return Unavailable(f"the app at {url}", "following the run", detail)
        case _:
            return Refused(f"the app at {url} answered {response.status} ({detail})", "mend the call")
