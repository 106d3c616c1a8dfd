"""Sets that several write at once, and that merge without anybody being asked.

`merge` is commutative, associative and idempotent: in whatever order states come together, and however often, all who have
seen the same states hold the same set. All are immutable, and can be kept: `await ctx.values.set("obstacles", seen)`.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class GSet(Struct, frozen=True):
    """A set that only grows."""

    items: frozenset[str] = frozenset()

    def added(self, *items: str) -> "GSet":
        """Return the set with these items."""
        return GSet(self.items.union(items))

    def merge(self, other: "GSet") -> "GSet":
        """Return what either of the two holds."""
        return GSet(self.items | other.items)

    def __contains__(self, item: object) -> bool:
        return item in self.items

    def __len__(self) -> int:
        return len(self.items)


class ORSet(Struct, frozen=True):
    """A set from which items can be removed: what is added again, or added elsewhere at the same time, is there.

    `present` holds for each item the tags under which it was added, `seen` how many tags each replica has given. A tag that was
    seen and is not present was removed.
    """

    present: Mapping[str, frozenset[tuple[str, int]]] = {}
    seen: Mapping[str, int] = {}

    def added(self, replica: str, *items: str) -> "ORSet":
        """Return the set with these items, added by a replica. A replica adds to its own newest state only."""
        present, last = dict(self.present), self.seen.get(replica, 0)
        for number, item in enumerate(items, start=last + 1):
            present[item] = present.get(item, frozenset()) | {(replica, number)}
        return ORSet(present, {**self.seen, replica: last + len(items)} if items else self.seen)

    def removed(self, *items: str) -> "ORSet":
        """Return the set without these items, as far as they have been seen here."""
        return ORSet({item: tags for item, tags in self.present.items() if item not in items}, self.seen)

    def merge(self, other: "ORSet") -> "ORSet":
        """Return what both hold, and what one holds that the other has not seen."""
        present = {
            item: tags
            for item in self.present.keys() | other.present.keys()
            if (tags := frozenset(self._kept(other, item)))
        }
        replicas = self.seen.keys() | other.seen.keys()
        return ORSet(present, {each: max(self.seen.get(each, 0), other.seen.get(each, 0)) for each in replicas})

    @property
    def items(self) -> frozenset[str]:
        return frozenset(self.present)

    def __contains__(self, item: object) -> bool:
        return item in self.present

    def __len__(self) -> int:
        return len(self.present)

    def _kept(self, other: "ORSet", item: str) -> Iterable[tuple[str, int]]:
        mine, theirs = self.present.get(item, frozenset()), other.present.get(item, frozenset())
        yield from mine & theirs
        yield from (tag for tag in mine - theirs if tag[1] > other.seen.get(tag[0], 0))
        yield from (tag for tag in theirs - mine if tag[1] > self.seen.get(tag[0], 0))
