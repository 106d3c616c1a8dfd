"""The timers that wait, in a queue for each clock and partition."""

from collections.abc import Sequence
from typing import Any

from penstock.adapters.redis_store.forms import timer_of_row
from penstock.adapters.redis_store.names import named
from penstock.adapters.redis_store.server import PAGE, Server
from penstock.core.timing.timers import CLOCKS, FIRST, Place, Timer, TimerClock


async def due(
    server: Server, clocks: Sequence[TimerClock], after: Place, limit: int, partitions: Sequence[int] | None
) -> list[Timer]:
    """Return the first timers that stand after a place."""
    queues = await _queues(server, clocks, partitions)
    due_ms, after_id = after
    found = await server.work("due", [server.keys.queue(each) for each in queues], due_ms, after_id, limit)
    places: list[tuple[float, bytes]] = []
    for answer in found:
        places += [(float(score), timer_id) for timer_id, score in zip(answer[::2], answer[1::2], strict=True)]
    return await _timers(server, [timer_id for _, timer_id in sorted(places)[:limit]])


async def latest_set_ms(server: Server, partitions: Sequence[int] | None) -> int:
    queues = await _queues(server, ("elapsed",), partitions)
    asked = [(b"ZREVRANGE", server.keys.set_times(each), 0, 0) for each in queues]
    latest = [page[0] for page in await server.all("timers set", asked) if page]
    return max((timer.set_ms for timer in await _timers(server, latest)), default=0)


async def by_id(server: Server, timer_id: str) -> Timer | None:
    return next(iter(await _timers(server, [named(timer_id)])), None)


async def soonest(server: Server, tenant: str | None, limit: int) -> list[Timer]:
    found, after = list[Timer](), FIRST
    while len(found) < limit:
        page = await due(server, CLOCKS, after, PAGE, None)
        found += [each for each in page if tenant in (None, each.event.tenant)]
        if len(page) < PAGE:
            break
        after = page[-1].place
    return found[:limit]


async def _queues(server: Server, clocks: Sequence[TimerClock], partitions: Sequence[int] | None) -> list[bytes]:
    if partitions is not None:
        return [f"{clock}:{each}".encode() for clock in clocks for each in partitions]
    (known,) = await server.all("timers", [(b"SMEMBERS", server.keys.queues)])
    chosen = tuple(f"{clock}:".encode() for clock in clocks)
    return sorted(each for each in known if each.startswith(chosen))


async def _timers(server: Server, ids: Sequence[bytes]) -> list[Timer]:
    found = list[Timer]()
    for start in range(0, len(ids), PAGE):
        asked: Any = (b"HMGET", server.keys.timers, *ids[start : start + PAGE])
        (rows,) = await server.all("timers", [asked])
        found += [timer_of_row(row) for row in rows if row is not None]
    return found
