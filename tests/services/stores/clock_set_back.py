"""What every store does when its clock was set back: who died before that is fenced soon, and not after as long as it was ahead."""

from collections.abc import Awaitable, Callable

import anyio

from penstock.ports.store import Store
from penstock.ports.workers import Workers

AHEAD_MS = 3_600_000
SHORT_MS = 50


async def expect_the_dead_are_fenced(store: Store, seen_ahead: Callable[[], Awaitable[object]]) -> None:
    """`seen_ahead` has all workers be seen an hour from now, as one is who was seen before the clock was set back."""
    workers: Workers = store
    dead, alive = await workers.join("dead"), await workers.join("alive")
    await seen_ahead()
    assert set((await workers.renew(alive, ttl_ms=SHORT_MS)).workers) == {dead.epoch, alive.epoch}
    await anyio.sleep(2 * SHORT_MS / 1000)
    assert (await workers.renew(alive, ttl_ms=SHORT_MS)).workers == (alive.epoch,)
