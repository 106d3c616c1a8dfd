"""What goes wrong between an engine and its store, as often as a seed says, or at the n-th write.

A store that answers may have written or not, twice or late; one that reads may bring less than was asked for. What never
happens is half a commit, or another answer than the one of the store: no backend may do that.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Literal, TypeVar

from penstock.errors import Unavailable

T = TypeVar("T")
WRITES = ("append", "claim", "commit")
NthWriteFault = Literal["lost request", "lost answer", "repeated", "full for a while", "full for long"]


class Faults:
    """None at all. Others override what they need."""

    async def asked(self, operation: str) -> None:
        """Let a request through, late, or raise `Unavailable`: then it never arrives."""

    def arrives_twice(self, operation: str) -> bool:  # noqa: ARG002 - for those that override it
        """Whether the request arrives twice, as one that was repeated on its way."""
        return False

    async def answered(self, operation: str) -> None:
        """Let an answer through, late, or raise `Unavailable`: then the work is done and nobody knows."""

    def torn(self, answer: Sequence[T]) -> Sequence[T]:
        """Return what arrives of a list that ends where the backend likes: all of it, or the beginning."""
        return answer


class Weather(Faults):
    """Chance: losses and delays both ways, repeated requests, short answers, a disk that is full for a while."""

    def __init__(self, random: Random, *, loss: float, delay_s: float, repeats: float = 0.0, torn: float = 0.0) -> None:
        self._random = random
        self._loss = loss
        self._delay_s = delay_s
        self._repeats = repeats
        self._torn = torn
        self.full = False

    async def asked(self, operation: str) -> None:
        if self.full and operation in WRITES:
            raise Unavailable("the faulty store", operation, "the disk is full")
        await self._travel(operation)

    def arrives_twice(self, operation: str) -> bool:
        return operation in WRITES and self._repeats > 0 and self._random.random() < self._repeats

    async def answered(self, operation: str) -> None:
        await self._travel(operation)

    def torn(self, answer: Sequence[T]) -> Sequence[T]:
        if self._torn and len(answer) > 1 and self._random.random() < self._torn:
            return answer[: self._random.randint(1, len(answer) - 1)]
        return answer

    async def _travel(self, operation: str) -> None:
        if self._delay_s:
            await asyncio.sleep(self._random.expovariate(1 / self._delay_s))
        if self._loss and self._random.random() < self._loss:
            raise Unavailable("the faulty store", operation)


class NthWrite(Faults):
    """One fault, at the n-th write; `seen` counts the writes, so that a run without the fault tells how many there are."""

    def __init__(self, nth: int, fault: NthWriteFault) -> None:
        self._nth = nth
        self._fault = fault
        self.seen = 0

    async def asked(self, operation: str) -> None:
        if operation not in WRITES:
            return
        self.seen += 1
        beyond = self.seen - self._nth
        if beyond < 0:
            return
        if self._fault == "lost request" and beyond == 0:
            raise Unavailable("the faulty store", operation)
        # A store asks again 12 times: 5 writes that fail are a moment, and 40 end the engine.
        if (self._fault == "full for a while" and beyond < 5) or (self._fault == "full for long" and beyond < 40):
            raise Unavailable("the faulty store", operation, "the disk is full")

    def arrives_twice(self, operation: str) -> bool:
        return self._fault == "repeated" and operation in WRITES and self.seen == self._nth

    async def answered(self, operation: str) -> None:
        if self._fault == "lost answer" and operation in WRITES and self.seen == self._nth:
            raise Unavailable("the faulty store", operation)
