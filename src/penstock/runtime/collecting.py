"""The collections of an engine, put together from what it is made of."""

from collections.abc import Mapping
from functools import partial

from penstock.ports.clock import Clock
from penstock.ports.reranker import Reranker
from penstock.ports.store import Store
from penstock.runtime.collection import Collection, Index
from penstock.runtime.generations import Generations
from penstock.runtime.rearranging import Rearranging
from penstock.runtime.services import Services
from penstock.runtime.tasks import Tasks
from penstock.runtime.uses import Uses


def add_collections(
    services: Services,
    indexes: Mapping[str, Index],
    generations: Mapping[str, Generations],
    rerankers: Mapping[str, Reranker],
    store: Store,
    tasks: Tasks,
) -> None:
    """Have the handlers of an engine find its collections."""
    clock: Clock = services.clock
    for name, index in indexes.items():
        collection = Collection(name, index, generations[name], tasks)
        collection.durable = services.committer.durable
        collection.now_ms = clock.now_ms
        collection.monotonic_s = clock.monotonic_s
        collection.rearranging = Rearranging(rerankers.get(name))
        collection.rearranging.uses = Uses(name, store, services.partitions)
        collection.sole = len(indexes) == 1
        collection.traces = services.traces
        services.collections[name] = collection
        generations[name].before_writing = partial(generations[name].keep, services.committer)
