"""Who works on the store, what each has of limits, and what waits for an owner."""

from collections.abc import Collection, Sequence
from typing import Any

from penstock.adapters.redis_store.forms import sent_of_row
from penstock.adapters.redis_store.names import named
from penstock.adapters.redis_store.reading import body_of_waiting, dict_of
from penstock.adapters.redis_store.server import PAGE, Server
from penstock.errors import Fenced, Refused
from penstock.ports.inbox import Waiting
from penstock.ports.permits import Holding, Wish
from penstock.ports.state import Claim
from penstock.ports.workers import Membership

KNOWN_MAX = 16_384  # numbers whose topics are remembered


async def _held(server: Server, what: str, claim: Claim, *arguments: Any) -> Any:
    """Do what needs a claim; `Fenced` when it has ended."""
    found = await server.work(what, claim.epoch, claim.owner, *arguments)
    if found is None:
        raise Fenced(claim.owner, claim.epoch)
    return found


async def begin(server: Server, what: str, owner: str) -> Claim:
    named(owner)
    return Claim(owner, int(await server.work(what, owner)))


async def renew(server: Server, claim: Claim, ttl_ms: int) -> Membership:
    epochs, parts = await _held(server, "renew", claim, ttl_ms)
    owners = {int(partition): int(epoch) for partition, epoch in dict_of(parts).items()}
    return Membership(tuple(int(each) for each in epochs), dict(sorted(owners.items())))


async def take(server: Server, claim: Claim, partitions: Collection[int]) -> frozenset[int]:
    return frozenset(int(each) for each in await _held(server, "take", claim, list(partitions)))


async def give(server: Server, claim: Claim, partitions: Collection[int]) -> None:
    await _held(server, "give", claim, list(partitions))


async def leave(server: Server, claim: Claim) -> None:
    await server.work("leave", claim.epoch, claim.owner)


async def divide(server: Server, claim: Claim, partitions: int) -> None:
    answer = await _held(server, "divide", claim, partitions)
    if answer == b"several":
        raise Refused("several workers share the store", "stop them first: a lone worker changes the partitions")
    if isinstance(answer, bytes):
        known = answer.decode().rpartition(" ")[2]
        raise Refused(f"the store has {known} partitions already", "ask for as many, or for more")


async def hold(server: Server, claim: Claim, wishes: Sequence[Wish]) -> list[Holding]:
    asked = [(server.keys.permits(wish.name), wish.limit, wish.held, wish.wanted) for wish in wishes]
    answers = await _held(server, "hold", claim, asked)
    return [Holding(wish.name, *map(int, each)) for wish, each in zip(wishes, answers, strict=True)]


class TopicsOfWaiting:
    """The topics of what waits, by its number: over a broker nearly all of it is left out, and need not be read each time."""

    def __init__(self) -> None:
        self._topics: dict[int, str] = {}

    def unless(self, numbers: Sequence[int], without: Collection[str]) -> list[int]:
        """Return numbers without those that are known to be of topics to be left out."""
        return [each for each in numbers if self._topics.get(each) not in without] if without else [*numbers]

    def learn(self, number: int, topic: str) -> None:
        """Remember the topic of a number, which it has for good."""
        if len(self._topics) >= KNOWN_MAX:
            self._topics.clear()  # what still waits is read once more
        self._topics[number] = topic


async def submitted(
    server: Server, topics: TopicsOfWaiting, partitions: Collection[int], limit: int, without: Collection[str]
) -> list[Waiting]:
    """Return the first events that wait, of several partitions in the order in which they came."""
    found = list[Waiting]()
    after, width = dict.fromkeys(partitions, 0), min(limit, PAGE)
    while after and len(found) < limit:
        asked = [
            (b"ZRANGEBYSCORE", server.keys.waiting(each), b"(%d" % last, b"+inf", b"LIMIT", 0, width)
            for each, last in after.items()
        ]
        pages = dict(zip(after, await server.all("submitted", asked), strict=True))
        # What follows the end of a full page may stand before what another page has: that waits for the next round.
        horizon = min((int(page[-1]) for page in pages.values() if len(page) == width), default=1 << 62)
        numbers = sorted(number for page in pages.values() for each in page if (number := int(each)) <= horizon)
        found += await _waiting(server, topics, topics.unless(numbers, without), without)
        if horizon == 1 << 62:
            break
        after = {each: max(horizon, last) for each, last in after.items() if pages[each]}
    return found[:limit]


async def _waiting(
    server: Server, topics: TopicsOfWaiting, numbers: Sequence[int], without: Collection[str]
) -> list[Waiting]:
    if not numbers:
        return []
    (rows,) = await server.all("submitted", [(b"HMGET", server.keys.inbox, *numbers)])
    there = [(number, sent_of_row(body_of_waiting(row))) for number, row in zip(numbers, rows, strict=True) if row]
    for number, sent in there if without else ():
        topics.learn(number, sent.topic)
    wanted = [(number, sent) for number, sent in there if sent.topic not in without]
    if not wanted:
        return []
    asked = (b"ZMSCORE", server.keys.event_ids, *(named(sent.event.id) for _, sent in wanted))
    (known,) = await server.all("submitted", [asked])
    return [Waiting(number, sent, place is not None) for (number, sent), place in zip(wanted, known, strict=True)]
