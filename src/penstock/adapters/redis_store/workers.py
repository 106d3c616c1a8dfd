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


async def submitted(server: Server, partitions: Collection[int], limit: int, without: Collection[str]) -> list[Waiting]:
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
        found += await _waiting(server, numbers, without)
        if horizon == 1 << 62:
            break
        after = {each: max(horizon, last) for each, last in after.items() if pages[each]}
    return found[:limit]


async def _waiting(server: Server, numbers: Sequence[int], without: Collection[str]) -> list[Waiting]:
    if not numbers:
        return []
    (rows,) = await server.all("submitted", [(b"HMGET", server.keys.inbox, *numbers)])
    there = [(number, sent_of_row(body_of_waiting(row))) for number, row in zip(numbers, rows, strict=True) if row]
    wanted = [(number, sent) for number, sent in there if sent.topic not in without]
    if not wanted:
        return []
    asked = (b"ZMSCORE", server.keys.event_ids, *(named(sent.event.id) for _, sent in wanted))
    (known,) = await server.all("submitted", [asked])
    return [Waiting(number, sent, place is not None) for (number, sent), place in zip(wanted, known, strict=True)]
