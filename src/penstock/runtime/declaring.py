"""What an app declares of its knowledge: its collections, memories, embedders of its own, and routers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from penstock.core.knowledge.memories import RecallWeights
from penstock.errors import Finding, Invalid
from penstock.ports.embedder import Embedder
from penstock.ports.reranker import Reranker
from penstock.runtime.generations import OnChange
from penstock.runtime.knowledge import Knowledge
from penstock.runtime.memories import Memories
from penstock.runtime.routers import Router
from penstock.runtime.routing import RouterPlan, planned


class DeclaresKnowledge:
    """The part of an app that declares knowledge."""

    def __init__(self) -> None:
        self._knowledge: dict[str, Knowledge] = {}
        self.memories: dict[str, Memories] = {}
        self.documents: dict[str, Path] = {}
        self.embedders: dict[str, Embedder] = {}
        self.on_change: dict[str, OnChange] = {}
        self.rerankers: dict[str, str | Reranker] = {}
        self.routers: dict[str, RouterPlan] = {}
        self.registry = False  # whether it keeps schemas

    def knowledge(
        self,
        name: str,
        *,
        documents: str | Path | None = None,
        on_change: OnChange = "refuse",
        reranker: str | Reranker = "",
    ) -> Knowledge:
        """Declare a knowledge collection, and return it for handlers to search.

        `documents`: a folder, or a file, that it is brought to at each start: what is new, changed or gone there.
        `on_change`: what follows when the settings name another embedder than it was indexed with: "refuse" to start, "build"
        a new generation in the background, which takes over when it has everything, or "keep" the one that serves.
        `reranker`: "words", "minilm", "cohere:MODEL", ..., or one of your own: it judges the best of each search anew.
        """
        if on_change not in get_args(OnChange):
            finding = Finding("on_change", f"is {on_change!r}", f"one of {', '.join(get_args(OnChange))}")
            raise Invalid(f"the knowledge collection {name!r}", (finding,))
        self.on_change[name] = on_change
        if reranker:
            self.rerankers[name] = reranker
        if documents is not None:
            self.documents[name] = Path(documents)
        return self._knowledge.setdefault(name, Knowledge(name))

    def memory(self, name: str = "memories", *, weights: RecallWeights = RecallWeights()) -> Memories:  # noqa: B008 - frozen
        """Declare a memory, a knowledge collection of its own, and return it for handlers: `remember`, `recall`, `summarise`.

        `weights`: how much relevance, recency and importance count in a recall. Raises `Invalid` with all findings.
        """
        if name in self._knowledge:
            raise Invalid(f"the memory {name!r}", (Finding("name", "is taken by a knowledge collection", "rename it"),))
        self.memories[name] = Memories(name, weights)
        self.knowledge(name)
        return self.memories[name]

    def embedder(self, name: str, embedder: Embedder) -> None:
        """Name an embedder of your own, for the settings (`embedder=NAME`) and for generations."""
        self.embedders[name] = embedder

    def router(  # noqa: PLR0913 - each says where it learns from
        self,
        name: str,
        routes: Mapping[str, Sequence[str]] | None = None,
        *,
        outside: Sequence[str] = (),
        file: str | Path = "",
        examples: Knowledge | None = None,
        embedder: str = "",
        score_min: float = 0.5,
    ) -> Router:
        """Declare a router, and return it for handlers: `choice = await desk.choose(text)`.

        It learns from `routes`, the texts of each, and `outside`, texts that belong to none; or from `examples`, a collection
        whose passages say their `route` in their metadata; or it was learned before, into a `file` (`penstock route fit`).
        `score_min`: from which score on a text belongs to a route; 0.5 is what was learned. Raises `Invalid` with all findings.
        """
        if name in self.routers:
            raise Invalid(f"the router {name!r}", (Finding("name", "is taken by another router", "rename it"),))
        collection = "" if examples is None else examples.name
        plan = RouterPlan(name, None, str(file), collection, embedder, score_min)
        self.routers[name] = planned(name, routes, outside, plan)
        return Router(name)

    def schemas(self) -> None:
        """Keep a schema registry in the app: `live.schemas()`, and Confluent's HTTP API under /v1/registry."""
        self.registry = True

    @property
    def collections(self) -> tuple[str, ...]:
        return tuple(self._knowledge)


def require_app_name(name: str) -> None:
    """Refuse a name that cannot name files and topics."""
    if not name or not all(char.isalnum() or char in "-_" for char in name):
        finding = Finding("name", f"is {name!r}", "use letters, digits, - and _: it names files and topics")
        raise Invalid("the app", (finding,))
