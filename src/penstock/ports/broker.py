"""Topics of a broker, as the way from one worker to the next. Its contract, as tests: `penstock.testing.broker_contract`.

A broker carries events; what has become of them is remembered by the store (docs/decisions/0048).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from penstock.core.events.messages import Carried, Lane, Message


class Broker(Protocol):
    """Topics, split into partitions.

    Every implementation guarantees:

    BR1 durable  What `publish` returned from survives a kill of the broker and of every worker, and comes with a `fetch` soon.
    BR2 order    Messages of a partition come by their positions, which are in the order of one sender's calls and, in a call, of
                the messages. Whoever publishes again after `Unavailable` may leave a message twice: its id tells.
    BR3 again    What follows a position comes again, to each reader, whenever it is asked for: nothing is skipped, nothing taken.
    BR4 bounded  A call returns `limit` messages at most; what the broker holds no longer is passed over.
    BR5 wake     After each `publish`, by whomever, to what was asked for last, the watchers are called, soon and at least once.
    BR6 whole    Each byte of a message comes as it was given: key, value and headers, in their order.
    BR7 limit    A message with a value of up to `bytes_max` bytes is taken.
    BR8 made     `require` makes topics that are missing, and raises `Invalid` for those with another number of partitions.
    """

    bytes_max: int
    structured: bool  # whether events go as one document each: where headers cost more than that

    async def require(self, topics: Collection[str], partitions: int) -> None:
        """Have these topics, each with so many partitions."""
        ...

    async def publish(self, messages: Sequence[tuple[str, int, Message]]) -> None:
        """Put messages at the ends of (topic, partition); return when all are durable."""
        ...

    async def fetch(self, after: Mapping[Lane, int], *, limit: int) -> Sequence[Carried]:
        """Return messages of these partitions that follow a position each (0: from the beginning), without waiting for any."""
        ...

    async def ends(self, lanes: Collection[Lane]) -> Mapping[Lane, int]:
        """Return the last position of each that has messages."""
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when messages come to partitions that were asked for, until the returned function is called."""
        ...
