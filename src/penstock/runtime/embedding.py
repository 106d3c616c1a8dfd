"""Embeds one text each for many handlings: those that ask in the same tick of the event loop share one call of the embedder."""

import asyncio

from penstock.errors import Unavailable
from penstock.ports.embedder import Embedder
from penstock.runtime.tasks import Tasks

TEXTS_AT_ONCE = 256  # in one call


class EmbedsTogether:
    """Who waits for vectors of one collection."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._asked: list[tuple[Embedder, str, asyncio.Future[tuple[float, ...]]]] = []

    async def embedded(self, embedder: Embedder, text: str) -> tuple[float, ...]:
        """Return the vector of a text; whatever the embedder raises is raised to all whose texts it was given together."""
        future: asyncio.Future[tuple[float, ...]] = asyncio.get_running_loop().create_future()
        if not self._asked and not self._tasks.start(self._answer()):
            raise Unavailable("the engine", "embed", "it was stopped")
        self._asked.append((embedder, text, future))
        return await future

    async def _answer(self) -> None:
        asked, self._asked = self._asked, []
        while asked:
            embedder = asked[0][0]
            now = [each for each in asked if each[0] is embedder][:TEXTS_AT_ONCE]
            chosen = {id(each[2]) for each in now}
            asked = [each for each in asked if id(each[2]) not in chosen]
            try:
                rows = await embedder.embed([text for _, text, _ in now], purpose="passage")
            except Exception as error:  # noqa: BLE001 - an embedder may raise anything
                for _, _, future in now:
                    if not future.done():
                        future.set_exception(error)
            except asyncio.CancelledError:
                for _, _, future in (*now, *asked):
                    future.cancel()
                raise
            else:
                for (_, _, future), row in zip(now, rows, strict=True):
                    if not future.done():
                        future.set_result(tuple(row.tolist()))
