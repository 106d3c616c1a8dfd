"""What a job has of the app's knowledge: the embedder. Passages lie where the app's indexer is, which takes what a job emits."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn, cast

from penstock.embedders import Embedders
from penstock.errors import Refused
from penstock.ports.embedder import Embedder
from penstock.runtime.collection import Collection
from penstock.runtime.embedding import EmbedsTogether
from penstock.runtime.tasks import Tasks
from penstock.settings import Settings
from penstock.wiring import Declared


@asynccontextmanager
async def embedders_of(declared: Declared, chosen: Settings) -> AsyncGenerator[Mapping[str, Embedder]]:
    """Open the embedder of the settings, once for all collections of an app that has any; yield it by their names."""
    async with AsyncExitStack() as stack:
        if not declared.collections:
            yield {}
            return
        embedder = await Embedders(declared.embedders, stack).open(chosen.embedder)
        yield dict.fromkeys(declared.collections, embedder)


def embedded_only(embedders: Mapping[str, Embedder], tasks: Tasks) -> dict[str, Collection]:
    """Return what stands in for collections in a job."""
    return {name: cast("Collection", EmbeddedOnly(name, each, tasks)) for name, each in embedders.items()}


class EmbeddedOnly:
    """A collection that embeds, and finds nothing."""

    def __init__(self, name: str, embedder: Embedder, tasks: Tasks) -> None:
        self.name = name
        self._embedder = embedder
        self._together = EmbedsTogether(tasks)

    async def embedded(self, text: str) -> tuple[float, ...]:
        """Return the vector of a text, as the indexer would make it; what is asked for at the same time is made together."""
        return await self._together.embedded(self._embedder, text)

    async def search(self, *_: Any) -> NoReturn:
        hint = "have an agent search that runs where the app's store is"
        raise Refused(f"knowledge {self.name!r} cannot be searched on Flink", hint)
