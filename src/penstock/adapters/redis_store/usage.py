"""What takes space in a store, counted page by page: nothing is read but lengths, except of runs."""

from collections.abc import AsyncGenerator
from typing import Any

from penstock.adapters.redis_store.forms import event_of_row, letter_of_row, messages_of_row, run_of_row
from penstock.adapters.redis_store.names import named
from penstock.adapters.redis_store.reading import dict_of
from penstock.adapters.redis_store.server import PAGE, Server
from penstock.core.agents.usage import Usage, Used


class _Counted:
    """Rows of one kind and name, as they are counted."""

    def __init__(self) -> None:
        self.rows = self.size = self.last_ms = 0
        self.first_ms = 1 << 62

    def add(self, size: int, at_ms: int = 0, rows: int = 1) -> None:
        self.rows, self.size = self.rows + rows, self.size + size
        if at_ms:
            self.first_ms, self.last_ms = min(self.first_ms, at_ms), max(self.last_ms, at_ms)

    def used(self, kind: str, name: str) -> Used:
        return Used(kind, name, self.rows, self.size, self.first_ms if self.last_ms else 0, self.last_ms)


async def usage(server: Server) -> Usage:
    """Return the bytes of what is stored; the total is of all keys, with what Redis needs around them."""
    counted: dict[tuple[str, str], _Counted] = {}

    def of(kind: str, name: str = "") -> _Counted:
        return counted.setdefault((kind, name), _Counted())

    keys = server.keys
    async for _, row in _scanned(server, keys.events):
        recorded = event_of_row(row)
        of("events", recorded.position.topic).add(len(row), recorded.event.time_ms)
    async for _, row in _scanned(server, keys.runs):
        run = run_of_row(row)
        of("runs", run.agent).add(len(row), run.at_ms)
    await _journals(server, of)
    await _memory(server, of)
    parts = [each.used(kind, name) for (kind, name), each in counted.items() if each.rows]
    return Usage(sorted(parts, key=lambda each: -each.bytes_used), await _total(server))


async def _memory(server: Server, of: Any) -> None:
    """Count what agents remember, and what waits for its time or a person."""
    keys = server.keys
    async for _, row in _scanned(server, keys.timers):
        of("timers").add(len(row))
    async for _, row in _scanned(server, keys.dead):
        of("dead letters").add(len(named(letter_of_row(row).reason)))
    async for _, size in _lengths(server, keys.blobs):
        of("blobs").add(size)
    async for place in _named(server, keys.sessions):
        (rows,) = await server.all("usage", [(b"HVALS", keys.session(place))])
        for row in rows:
            of("sessions").add(len(messages_of_row(row).body))
    async for place in _named(server, keys.values):
        (bodies,) = await server.all("usage", [(b"HVALS", keys.value(place))])
        for body in bodies:
            of("values").add(len(body))


async def _journals(server: Server, of: Any) -> None:
    keys = server.keys
    async for run_id in _named(server, keys.run_ids):
        chunks, streams = await server.all(
            "usage", [(b"HGETALL", keys.journal(run_id)), (b"HGETALL", keys.streams(run_id))]
        )
        for number, body in dict_of(chunks).items():
            if number != b"n":
                of("journals").add(len(body))
        for name, size in dict_of(streams).items():
            (count,) = await server.all("usage", [(b"ZCARD", keys.stream(run_id.decode(), name.decode()))])
            of("streams").add(int(size), rows=count)


async def _scanned(server: Server, key: bytes) -> AsyncGenerator[tuple[bytes, bytes]]:
    """Go through a table; what is written meanwhile may come or not."""
    cursor: Any = 0
    seen = set[bytes]()  # Redis may tell a row twice while it makes room
    while True:
        ((cursor, found),) = await server.all("usage", [(b"HSCAN", key, cursor, b"COUNT", PAGE)])
        for name, row in dict_of(found).items():
            if name not in seen:
                seen.add(name)
                yield name, row
        if int(cursor) == 0:
            return


async def _lengths(server: Server, key: bytes) -> AsyncGenerator[tuple[bytes, int]]:
    async for name in _named(server, server.keys.blob_ids):
        (size,) = await server.all("usage", [(b"HSTRLEN", key, name)])
        yield name, size


async def _named(server: Server, index: bytes) -> AsyncGenerator[bytes]:
    """Go through the names of an index, in their order."""
    first = b"-"
    while True:
        (names,) = await server.all("usage", [(b"ZRANGEBYLEX", index, first, b"+", b"LIMIT", 0, PAGE)])
        for name in names:
            yield name
        if len(names) < PAGE:
            return
        first = b"(" + names[-1]


async def _total(server: Server) -> int:
    cursor: Any = 0
    total = 0
    while True:
        asked = (b"SCAN", cursor, b"MATCH", server.keys.all + b"*", b"COUNT", PAGE)
        ((cursor, found),) = await server.all("usage", [asked])
        sizes = await server.all("usage", [(b"MEMORY", b"USAGE", key) for key in found])
        total += sum(size or 0 for size in sizes)
        if int(cursor) == 0:
            return total
