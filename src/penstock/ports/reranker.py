"""Puts passages that were found into a better order. Its contract, as tests: `penstock.testing.reranker_contract`."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Candidate(Struct, frozen=True):
    """A passage that was found, with the score that the search gave it."""

    text: str
    score: float


class Reranker(Protocol):
    """A model that judges passages beside their query: slower than a search, and asked of its best only.

    Every implementation guarantees:

    J1 shape     `rerank` returns one finite score for each candidate, in their order; higher is better. None for none.
    J2 sameness  The same query and candidates get the same scores.
    J3 any text  No text is refused for its content or length; what exceeds the model's window is cut.
    J4 name      `name` says which model it is.
    """

    @property
    def name(self) -> str: ...

    async def rerank(self, query: str, candidates: Sequence[Candidate]) -> list[float]:
        """Return the new scores; `Unavailable` when a remote model did not answer."""
        ...
