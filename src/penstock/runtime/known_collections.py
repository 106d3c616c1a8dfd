"""Which collections a store has, by what is kept of their generations: for people who look, and for who misspelt a name."""

from msgspec import Struct

from penstock.core.knowledge.generations import Generation, decode
from penstock.ports.rows import RowSource
from penstock.runtime.generations import CATALOGUE, OWNER

PAGE = 1_000


class KnownCollection(Struct, frozen=True):
    """A collection of a store, and the generation of it that serves."""

    name: str
    serving: Generation


async def known_collections(source: RowSource) -> list[KnownCollection]:
    """Return the collections of a store, by name. It looks through all values that are kept: not for each request."""
    found: dict[str, KnownCollection] = {}
    after = b""
    while True:
        page = await source.rows("values", after=after, limit=PAGE)
        for each in page.rows.values:
            if each.agent == OWNER and each.name == CATALOGUE and each.body is not None:
                found[each.key] = KnownCollection(each.key, decode(each.body).serving)
        if not page.after:
            return [found[name] for name in sorted(found)]
        after = page.after
