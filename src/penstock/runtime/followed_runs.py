"""Runs that somebody outside waits for or watches, whichever worker has them."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

from penstock.core.events.envelope import event_of
from penstock.ports.store import Store
from penstock.runtime.front import Front


@contextmanager
def ended(front: Front, run: str) -> Generator[asyncio.Future[bytes]]:
    """Wait for the end of a run that is known: for its JSON, or for why there is none."""
    with front.services.releases.run(run) as waiting:
        if front.elsewhere is None:
            yield waiting
            return
        event_id = event_of(run)[0]
        with front.elsewhere.follow(event_id, waiting, partial(front.result_of, run)):
            front.elsewhere.away(event_id)
            yield waiting


@contextmanager
def watched(front: Front, store: Store, run: str, on_news: Callable[[], None]) -> Generator[None]:
    """Call `on_news` when other workers have written something of a run; what this one does is told by `Releases`."""
    if front.elsewhere is None:
        yield
        return
    event_id = event_of(run)[0]
    seen: tuple[int, str, int] | None = None

    async def look() -> None:
        nonlocal seen
        stored = await store.run(run)
        found = None if stored is None else (len(stored.records), stored.change.status, stored.change.attempt)
        if found != seen:
            seen = found
            on_news()

    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with front.elsewhere.follow(event_id, never, look):
        front.elsewhere.away(event_id)
        yield
