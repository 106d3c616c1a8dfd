"""Events by their ids, for all who ask at the same moment in one question: each request asks whether its id is known."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from penstock.adapters.redis_store.forms import event_of_row, sent_of_row
from penstock.adapters.redis_store.names import named
from penstock.adapters.redis_store.reading import body_of_waiting, events_by_id
from penstock.adapters.redis_store.server import PAGE, Server
from penstock.core.events.envelope import UNPLACED, Position, Recorded

Wanted = Mapping[bytes, "asyncio.Future[Recorded | None]"]


class Lookups:
    """Who asks for which event."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._wanted: dict[bytes, asyncio.Future[Recorded | None]] = {}
        self._asked = set[asyncio.Future[None]]()

    async def event(self, event_id: str) -> Recorded | None:
        """Return an event with its place, or as one that waits for it."""
        name = named(event_id)
        wanted = self._wanted.get(name)
        if wanted is None:
            loop = asyncio.get_running_loop()
            wanted = self._wanted[name] = loop.create_future()
            if len(self._wanted) == 1:
                loop.call_soon(self._begin)
        return await asyncio.shield(wanted)  # somebody else may wait for the same one

    def _begin(self) -> None:
        wanted, self._wanted = self._wanted, {}
        asked = asyncio.ensure_future(self._answer(wanted))
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)

    async def _answer(self, wanted: Wanted) -> None:
        try:
            for some in _pages([*wanted]):
                found = await found_by_id(self._server, some)
                for name in some:
                    wanted[name].set_result(found.get(name))
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            for each in wanted.values():
                if not each.done():
                    each.set_exception(error)
                    each.exception()  # who went away does not ask for it


def _pages(names: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    return (names[start : start + PAGE] for start in range(0, len(names), PAGE))


async def places_of(server: Server, ids: Collection[str]) -> dict[str, Position | None]:
    """Return where those of some events are that are in the log, and None for those that wait."""
    keys, names = server.keys, {named(each): each for each in ids}
    found = dict[str, Position | None]()
    for some in _pages([*names]):
        # First those that wait: one that gets its place meanwhile is seen in the log then.
        numbers, scores = await server.all(
            "places", [(b"HMGET", keys.inbox_ids, *some), (b"ZMSCORE", keys.event_ids, *some)]
        )
        found |= {names[name]: None for name, number in zip(some, numbers, strict=True) if number is not None}
        placed = [name for name, score in zip(some, scores, strict=True) if score is not None]
        found |= {each.event.id: each.position for each in await events_by_id(server, placed)}
    return found


async def found_by_id(server: Server, names: Sequence[bytes]) -> dict[bytes, Recorded]:
    """Return those of some events that are in the log, or wait for their place."""
    keys, found = server.keys, dict[bytes, Recorded]()
    # First those that wait: one that gets its place meanwhile is seen in the log then.
    numbers, rows = await server.all("event", [(b"HMGET", keys.inbox_ids, *names), (b"HMGET", keys.events, *names)])
    found = {name: event_of_row(row) for name, row in zip(names, rows, strict=True) if row is not None}
    waiting = {name: number for name, number in zip(names, numbers, strict=True) if number and name not in found}
    if waiting:
        sent, placed = await server.all(
            "event", [(b"HMGET", keys.inbox, *waiting.values()), (b"HMGET", keys.events, *waiting)]
        )
        for name, body, row in zip(waiting, sent, placed, strict=True):
            if row is not None:
                found[name] = event_of_row(row)
            elif body is not None:
                each = sent_of_row(body_of_waiting(body))
                found[name] = Recorded(Position(each.topic, each.partition, UNPLACED), each.event)
    return found
