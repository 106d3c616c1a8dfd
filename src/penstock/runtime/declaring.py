"""What an app declares of its knowledge: its collections, and embedders of its own."""

from pathlib import Path
from typing import get_args

from penstock.errors import Finding, Invalid
from penstock.ports.embedder import Embedder
from penstock.runtime.generations import OnChange
from penstock.runtime.knowledge import Knowledge


class DeclaresKnowledge:
    """The part of an app that declares knowledge."""

    def __init__(self) -> None:
        self._knowledge: dict[str, Knowledge] = {}
        self.documents: dict[str, Path] = {}
        self.embedders: dict[str, Embedder] = {}
        self.on_change: dict[str, OnChange] = {}
        self.registry = False  # whether it keeps schemas

    def knowledge(self, name: str, *, documents: str | Path | None = None, on_change: OnChange = "refuse") -> Knowledge:
        """Declare a knowledge collection, and return it for handlers to search.

        `documents`: a folder, or a file, that it is brought to at each start: what is new, changed or gone there.
        `on_change`: what follows when the settings name another embedder than it was indexed with: "refuse" to start, "build"
        a new generation in the background, which takes over when it has everything, or "keep" the one that serves.
        """
        if on_change not in get_args(OnChange):
            finding = Finding("on_change", f"is {on_change!r}", f"one of {', '.join(get_args(OnChange))}")
            raise Invalid(f"the knowledge collection {name!r}", (finding,))
        self.on_change[name] = on_change
        if documents is not None:
            self.documents[name] = Path(documents)
        return self._knowledge.setdefault(name, Knowledge(name))

    def embedder(self, name: str, embedder: Embedder) -> None:
        """Name an embedder of your own, for the settings (`embedder=NAME`) and for generations."""
        self.embedders[name] = embedder

    def schemas(self) -> None:
        """Keep a schema registry in the app: `live.schemas()`, and Confluent's HTTP API under /v1/registry."""
        self.registry = True

    @property
    def collections(self) -> tuple[str, ...]:
        return tuple(self._knowledge)
