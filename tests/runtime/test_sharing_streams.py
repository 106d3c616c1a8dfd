"""Streams of runs that another worker handles: live within tens of milliseconds, and whole, over takeovers too."""

import asyncio

from house_of_workers import PARTITIONS, House, virtually

from penstock.core.agents.declaration import Options, declare
from penstock.core.events.event import Event
from penstock.core.events.partitions import partition_of
from penstock.runtime.context import Context
from penstock.runtime.control import NAME as CONTROL
from penstock.runtime.control import control

TOKENS = 100
EVERY_S = 0.03
LIVE_S = 0.08


class Question(Event, key="who"):
    who: str


class Booth(House):
    """Workers whose agent tells a hundred tokens, with the time in each."""

    def agents(self, name):
        async def tell(question: Question, ctx: Context) -> int:
            for number in range(TOKENS):
                ctx.tell(f"{number} {asyncio.get_running_loop().time()}")
                await asyncio.sleep(EVERY_S)
            return TOKENS

        return {"tell": declare(tell, "tell", Options()), CONTROL: control()}


async def shared(*engines):
    while not all(each.partitions for each in engines):  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.1)


def who_of(engine):
    return next(
        f"w{each}" for each in range(99) if partition_of("default", f"w{each}", PARTITIONS) in engine.partitions
    )


@virtually
async def test_who_follows_through_another_worker_sees_each_piece_within_tens_of_milliseconds():
    house = Booth()
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await shared(first, second)
        event_id = await first.send(Question(who=who_of(second)))
        follower = await first.follow(event_id)
        late_s, numbers, rows = [], [], set()
        async for piece in follower.pieces():
            if piece.kind == "token":
                number, told_s = piece.text.split()
                numbers.append(int(number))
                late_s.append(asyncio.get_running_loop().time() - float(told_s))
        rows = house.disk.streams[f"{event_id}:tell"][""]
    assert numbers == list(range(TOKENS))
    assert sorted(late_s[10:])[-3] < LIVE_S, max(late_s)  # once the owner knows of it
    assert piece.text == "succeeded"
    assert len(rows) <= TOKENS


@virtually
async def test_nobody_who_follows_elsewhere_costs_nothing():
    house = Booth()
    await house.divide()
    async with house.worker("a") as first, house.worker("b") as second:
        await shared(first, second)
        event_id = await first.send(Question(who=who_of(first)))
        assert await first.settled(30)
        assert len(house.disk.streams[f"{event_id}:tell"][""]) <= TOKENS * EVERY_S / 0.25 + 3
        assert not house.disk.log("penstock-runs")


@virtually
async def test_who_follows_sees_the_whole_when_the_worker_of_the_run_is_killed():
    house = Booth()
    await house.divide()

    async with house.worker("a") as survivor:
        doomed = asyncio.ensure_future(house.killed_worker("b", 4))
        while len(survivor.partitions) != PARTITIONS // 2:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.1)
        theirs = [
            f"w{each}"
            for each in range(99)
            if partition_of("default", f"w{each}", PARTITIONS) not in survivor.partitions
        ]
        event_id = await survivor.send(Question(who=theirs[0]))
        follower = await survivor.follow(event_id)
        standing, last = {}, None
        async for piece in follower.pieces():
            last = piece
            if piece.kind == "token":
                standing[piece.offset] = int(piece.text.split()[0])
            elif piece.kind == "reset":
                for begin, end in piece.data["dropped"]:
                    for offset in range(begin, end):
                        standing.pop(offset, None)
        await doomed
    assert last.text == "succeeded"
    assert [standing[offset] for offset in sorted(standing)] == list(range(TOKENS))
