"""Taking what is about one subject out of a store: all of it in one script, and again if something came between."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from penstock.adapters.redis_store.forms import event_of_row, event_row, messages_of_row, run_of_row, run_row
from penstock.adapters.redis_store.names import joined, named
from penstock.adapters.redis_store.pruning import subject_of
from penstock.adapters.redis_store.reading import dict_of, range_of
from penstock.adapters.redis_store.server import Server
from penstock.adapters.redis_store.writing import Commands
from penstock.core.agents.exposing import OF_RUNS
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import SECRET, SHARED, gone, is_gone
from penstock.errors import Unavailable
from penstock.ports.erasure import Erased
from penstock.ports.retention import ENDED

REASON = "its subject was forgotten"
ATTEMPTS_MAX = 50
REWRITE_S = 600.0


async def secret(server: Server, offered: bytes) -> bytes:
    """Return the secret of the store, which is what was offered first."""
    place, name, keys = joined(*SECRET[:3]), named(SECRET[3]), server.keys
    if offered:
        writes: Commands = [
            [b"HSETNX", keys.value(place), name, offered],
            [b"HSETNX", keys.value_notes(place), name, b"0:"],
            [b"ZADD", keys.values, 0, place],
        ]
        await server.apply([([], writes)])
    (found,) = await server.all("secret", [(b"HGET", keys.value(place), name)])
    return found or b""


async def erase_events(server: Server, event_ids: Sequence[str]) -> Erased:
    for _ in range(ATTEMPTS_MAX):
        work = _Erasing(server)
        for event_id in event_ids:
            await work.event(event_id)
        if await work.done():
            return Erased({kind: rows for kind, rows in work.counts.items() if rows})
    raise Unavailable("redis", "erasing", "others write to the same runs all the time")


async def erase_state(server: Server, tenant: str, subject: str) -> Erased:
    for _ in range(ATTEMPTS_MAX):
        work = _Erasing(server)
        await work.state(tenant, subject)
        if await work.done():
            shared = await _shared(server, tenant)
            return Erased({kind: rows for kind, rows in (work.counts | {"shared": shared}).items() if rows})
    raise Unavailable("redis", "erasing", "others write to the same sessions and values all the time")


async def compact(server: Server) -> None:
    """Have the log on disk written anew, from what there is now, and wait for it."""
    info: dict[str, Any] = await server.ask("compacting", server.client.info("persistence"))
    if not info.get("aof_enabled"):
        return
    before = info.get("aof_rewrites", 0)
    await server.ask("compacting", server.client.bgrewriteaof())
    async with asyncio.timeout(REWRITE_S):
        while True:
            info = await server.ask("compacting", server.client.info("persistence"))
            under_way = info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled")
            if not under_way and info.get("aof_rewrites", 0) > before:
                return
            await asyncio.sleep(0.05)  # Redis tells nobody when it is done


class _Erasing:
    """What is to be written, and as what it was found."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.counts: dict[str, int] = {}
        self._guards: Commands = []
        self._writes: Commands = []

    async def done(self) -> bool:
        return (await self.server.apply([(self._guards, self._writes)]))[0]

    async def event(self, event_id: str) -> None:
        """Take the data of an event, and of all that belongs to it."""
        keys, name = self.server.keys, named(event_id)
        ranges = [range_of(keys.run_ids, name, mark) for mark in (b":", b"+")]
        row, number, *found = await self.server.all(
            "erasing", [(b"HGET", keys.events, name), (b"HGET", keys.inbox_ids, name), *ranges]
        )
        self._guards += [[row or False, b"HGET", keys.events, name], [number or False, b"HGET", keys.inbox_ids, name]]
        self._guards += [[ids, *asked] for ids, asked in zip(found, ranges, strict=True)]
        if row is not None:
            recorded = event_of_row(row)
            if not is_gone(recorded.event.data):
                erased = Recorded(recorded.position, gone(recorded.event))
                self._writes.append([b"HSET", keys.events, name, event_row(erased)])
                self._count("events", 1)
        if number is not None:
            self._writes.append([b"+TAKE", name])
            self._count("waiting events", 1)
        for run_id in [each for ids in found for each in ids]:
            await self._run(run_id)

    async def _run(self, run_id: bytes) -> None:
        keys = self.server.keys
        row, chunks, streams, letter = await self.server.all(
            "erasing",
            [
                (b"HGET", keys.runs, run_id),
                (b"HKEYS", keys.journal(run_id)),
                (b"HKEYS", keys.streams(run_id)),
                (b"HEXISTS", keys.dead, run_id),
            ],
        )
        names = [each.decode() for each in streams]
        told = await self.server.all("erasing", [(b"ZCARD", keys.stream(run_id.decode(), name)) for name in names])
        self._guards += [[row or False, b"HGET", keys.runs, run_id], [chunks, b"HKEYS", keys.journal(run_id)]]
        self._guards.append([streams, b"HKEYS", keys.streams(run_id)])
        self._count("journals", len([each for each in chunks if each != b"n"]))
        self._count("streams", sum(told))
        self._writes.append([b"+FORGET_JOURNAL", run_id])
        if letter:
            self._writes += [[b"HDEL", keys.dead, run_id], [b"ZREM", keys.deaths, run_id]]
            self._count("dead letters", 1)
        if row is not None:
            await self._strip(run_id, row)

    async def _strip(self, run_id: bytes, row: bytes) -> None:
        keys, run = self.server.keys, run_of_row(row)
        status = run.status if run.status in ENDED else "cancelled"
        stripped = replace(run, key="", reason=REASON, result=b"", records=b"", status=status)
        if stripped != run:
            self._writes.append([b"+RUN", run_id, run_row(stripped), status])
            self._count("runs", 1)
        for of in OF_RUNS:
            place = joined(run.tenant, of, run.run_id)
            (count,) = await self.server.all("erasing", [(b"HLEN", keys.value(place))])
            self._guards.append([count, b"HLEN", keys.value(place)])
            self._writes.append([b"+FORGET_VALUES", place])
            self._count("values", count)

    async def state(self, tenant: str, subject: str) -> None:
        """Remove the messages and values of a subject of a tenant."""
        keys, about = self.server.keys, self.server.keys.about(tenant, subject)
        (places,) = await self.server.all("erasing", [(b"SMEMBERS", about)])
        for each in places:
            place = each[1:]
            if each[:1] == b"s":
                (found,) = await self.server.all("erasing", [(b"HGETALL", keys.session(place))])
                for number, row in dict_of(found).items():
                    if messages_of_row(row).subject == subject:
                        self._guards.append([row, b"HGET", keys.session(place), number])
                        self._writes.append([b"+FORGET_MESSAGES", place, number])
                        self._count("messages", 1)
            else:
                (found,) = await self.server.all("erasing", [(b"HGETALL", keys.value_notes(place))])
                for name, note in dict_of(found).items():
                    if subject_of(note) == subject:
                        self._guards.append([note, b"HGET", keys.value_notes(place), name])
                        self._writes.append([b"+FORGET_VALUE", place, name])
                        self._count("values", 1)
        if places:
            self._guards.append([len(places), b"SCARD", about])
            self._writes.append([b"DEL", about])

    def _count(self, kind: str, rows: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + rows


async def _shared(server: Server, tenant: str) -> int:
    (places,) = await server.all("erasing", [(b"SMEMBERS", server.keys.about(tenant, SHARED))])
    found = await server.all("erasing", [(b"HVALS", server.keys.value_notes(each[1:])) for each in places])
    return sum(subject_of(note) == SHARED for notes in found for note in notes)
