"""How much of a limit each of several workers has. Its contract, as tests: `penstock.testing.permits_contract`."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from penstock.ports.state import Claim

NAMES_MAX = 256  # wishes in one call


class Wish(Struct, frozen=True):
    """How many permits of a name a worker is to have: `held` of them, or as many as are free of `limit`.

    `wanted`: how many it could use. That others want more than they have tells a worker to give some back.
    """

    name: str
    limit: int
    held: int
    wanted: int


class Holding(Struct, frozen=True):
    """How many permits of a name a worker has now, and what the others have and want."""

    name: str
    held: int
    others: int = 0  # workers that want some
    short: int = 0  # of them, those that want more than they have
    starving: int = 0  # of them, those that have none


class Permits(Protocol):
    """Permits by name, of which all workers together never have more than a limit.

    Every implementation guarantees:

    Q1 bounded  No two answers of `hold` that are in force give more permits of a name than its limit.
    Q2 kept     A worker keeps what it has until it asks for less: as many as it has are never refused under the same limit.
    Q3 freed    What a claim held is free once the claim has ended.
    Q4 fenced   `hold` raises `Fenced` when the claim has ended.
    Q5 told     Each answer counts the other workers that want some, and those of them that want more, or have none.
    """

    async def hold(self, claim: Claim, wishes: Sequence[Wish]) -> Sequence[Holding]:
        """Set what a worker has of each name, and return what it has, in the same order; 0 held and wanted forgets a name."""
        ...
