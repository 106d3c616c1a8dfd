"""What is common to vector stores that have a place for each collection: the rest is in the contract that each of them passes."""

import asyncio

import numpy as np

from penstock.core.knowledge.passages import Passage, Space, Upsert
from penstock.layers.placed_passages import PlacedPassages
from penstock.testing.fixtures import anyio_backend

__all__ = ["anyio_backend"]


class MadeByOne:
    """A store that cannot stand two who make a place at the same time, as a folder or a schema cannot."""

    def __init__(self):
        self.places = {}
        self.making = 0

    async def names(self):
        return list(self.places)

    async def make(self, at):
        self.making += 1
        assert self.making == 1, "somebody makes it already"
        await asyncio.sleep(0.01)
        self.places.setdefault(at.name, {})
        self.making -= 1

    def refuse(self, passage):
        return None

    async def put(self, at, tenant, rows):
        await asyncio.sleep(0)
        if at.name not in self.places:
            return False
        self.places[at.name].update({passage.id: passage for passage, _ in rows})
        return True

    async def remove(self, at, tenant, ids):
        return True

    async def page(self, at, tenant, after, limit):
        return {}, ""


async def test_the_indexers_of_several_partitions_make_a_place_once():
    store = MadeByOne()
    passages, vector = PlacedPassages(store, "app"), np.ones(4, np.float32).tobytes()
    space = Space("books", "default", 1)
    batches = [[Upsert(space, Passage(f"p{number}", "a text", {}), vector)] for number in range(6)]
    await asyncio.gather(*(passages.apply(each) for each in batches))
    (place,) = store.places.values()
    assert sorted(place) == [f"p{number}" for number in range(6)]
