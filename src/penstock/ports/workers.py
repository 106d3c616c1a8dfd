"""Who works on which part of a store that several workers share. Its contract, as tests: `penstock.testing.workers_contract`."""

from collections.abc import Collection, Mapping
from typing import Protocol

from msgspec import Struct

from penstock.ports.state import Claim


class Membership(Struct, frozen=True):
    """Who was there at one moment."""

    workers: tuple[int, ...]  # the epochs of those alive, the oldest first
    owners: Mapping[int, int]  # every partition -> the epoch of its owner, 0: nobody's


class Workers(Protocol):
    """The workers of a store, and the partitions that each of them owns.

    Every implementation guarantees:

    N1 beside     `join` gives a claim beside those of other workers; it ends one that was made with `claim`, as `claim` ends all.
    N2 alive      A worker that renews within `ttl_ms` is not fenced. One that does not is fenced by the next renewal of another.
    N3 one owner  A partition has one owner at a time: `take` gives only what is nobody's, and a fenced worker owns nothing.
    N4 fenced     `renew`, `take` and `give` raise `Fenced` when the claim has ended, like `commit`.
    N5 divided    The number of partitions is changed by the holder of a `claim` only. A store begins with one.

    Time is the store's own: workers on several machines need no common clock.
    """

    async def join(self, owner: str) -> Claim:
        """Become one of several who may commit."""
        ...

    async def renew(self, claim: Claim, *, ttl_ms: int) -> Membership:
        """Say that one is alive, end the claims of those who were silent for `ttl_ms`, and learn who owns what."""
        ...

    async def take(self, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
        """Become the owner of partitions, as far as they are nobody's, and return those of them that one owns now."""
        ...

    async def give(self, claim: Claim, partitions: Collection[int]) -> None:
        """Own partitions no longer."""
        ...

    async def leave(self, claim: Claim) -> None:
        """End one's own claim, as a renewal of another would; nothing happens when it has ended."""
        ...

    async def divide(self, claim: Claim, partitions: int) -> None:
        """Have `partitions` partitions from now on, all owned by the claim, which must be one made with `claim`.

        Raises `Refused` when there are more already. Events stay where they are: nothing may be waiting to be handled.
        """
        ...
