"""Streams in virtual time: any order of telling, commits, failures, kills and readers, and several workers."""

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.declaration import Options, declare
from penstock.core.agents.pieces import ENDED, Piece, standing
from penstock.core.agents.policy import Retry
from penstock.errors import PenstockError
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.engine import Parts, running
from penstock.runtime.models import Models, Prompts
from penstock.runtime.run_streams import AHEAD_MAX
from penstock.runtime.topology import Topology
from penstock.testing.engine_stream_contract import expect_whole
from penstock.testing.engine_trial import Order
from penstock.testing.faults import Weather
from penstock.testing.faulty_store import FaultyStore
from penstock.testing.virtual_time import VirtualClock, run_virtually

READERS = 3
STEP_WORDS = 4
RUN = "o1:serve"
PATIENT = Retry(attempts_max=1000, delay_s=0.01, delay_max_s=0.02)


class World:
    """What outlives the kills: the disk, the readers, and what may be told."""

    def __init__(self, burst: int, seed: int):
        self.disk = Disk()
        self.random = Random(seed)
        self.burst = burst
        self.allowed = 0
        self.open = False
        self.changed = asyncio.Event()
        self.must_fail = False
        self.executions = 0
        self.told = defaultdict(list)  # execution -> texts
        self.recorded = {}  # step -> the execution that ended
        self.readers = [Reader() for _ in range(READERS)]

    async def may(self):
        while not (self.open or self.allowed):
            self.changed.clear()
            await self.changed.wait()
        self.allowed = max(0, self.allowed - 1)
        if self.must_fail and not self.open:
            self.must_fail = False
            raise ValueError("bad luck")

    def let(self, count):
        self.allowed += count
        self.changed.set()

    async def serve(self, order: Order, ctx) -> str:
        """Tell in the open and within steps, one after the other and side by side."""
        for part in range(2):
            await self.say(ctx, f"b{part}", "body")
            await ctx.read(f"step{part}", self.step, ctx, f"s{part}")
        await asyncio.gather(ctx.read("left", self.step, ctx, "l"), ctx.read("right", self.step, ctx, "r"))
        await self.say(ctx, "end", "body")
        return "done"

    async def say(self, ctx, text, execution):
        await self.may()
        ctx.tell(f"{execution} {ctx.attempt} {text}")

    async def step(self, ctx, text):
        self.executions += 1
        execution = self.executions
        for word in range(STEP_WORDS):
            await self.say(ctx, f"{text}{word}", execution)
            for more in range(self.burst if text == "s1" else 0):
                ctx.tell(f"{execution} {ctx.attempt} {text}{word}.{more}")
        return execution


class Reader:
    """One who comes and goes, and keeps what it got."""

    def __init__(self):
        self.pieces: list[Piece] = []
        self.task = None

    @property
    def next(self):
        return self.pieces[-1].offset + 1 if self.pieces else 0

    @property
    def is_done(self):
        return bool(self.pieces) and self.pieces[-1].kind == ENDED

    def come(self, engine):
        if self.task is None and not self.is_done:
            self.task = asyncio.ensure_future(self.read(engine))

    async def read(self, engine):
        follower = await engine.follow(RUN, from_offset=self.next)
        async for piece in follower.pieces():
            self.pieces.append(piece)

    async def leave(self):
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError, PenstockError):
                await self.task
            self.task = None


def parts_of(disk, handler, *, random=None, name="v"):
    agents = {"serve": declare(handler, "serve", Options(retry=PATIENT))}
    store = MemoryStore(disk)
    clock = VirtualClock(Random(0), name)
    if random is not None:
        weather = Weather(random, loss=random.choice([0.0, 0.1]), delay_s=0.005, torn=0.3)
        store = RetryingStore(FaultyStore(store, weather), clock)
    return Parts("told", Topology(agents), store, clock, Models(_no_model, Prompts(None)))


def _no_model(name):
    raise AssertionError(name)


class Life:
    """One process, until it is killed."""

    def __init__(self, world, number):
        self.world = world
        self.started = asyncio.get_running_loop().create_future()
        self.parts = parts_of(world.disk, world.serve, random=world.random, name=f"L{number}")
        self.task = asyncio.ensure_future(self.live())

    async def live(self):
        async with running(self.parts, owner="w") as engine:
            self.started.set_result(engine)
            await asyncio.Event().wait()

    async def kill(self):
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        for reader in self.world.readers:
            await reader.leave()


async def played(actions, burst, seed):
    world = World(burst, seed)
    lives = 1
    life = Life(world, lives)
    engine = await life.started
    await engine.send(Order(customer="a"), id="o1")
    world.readers[0].come(engine)
    for name, value in actions:
        match name:
            case "let":
                world.let(value)
            case "time":
                await asyncio.sleep(value)
            case "fail":
                world.must_fail = True
            case "come":
                world.readers[value].come(engine)
            case "leave":
                await world.readers[value].leave()
            case "kill":
                await life.kill()
                lives += 1
                life = Life(world, lives)
                engine = await life.started
                world.readers[0].come(engine)
    world.open = True
    world.changed.set()
    for reader in world.readers:
        reader.come(engine)
    async with asyncio.timeout(60):
        await asyncio.gather(*(reader.task for reader in world.readers if reader.task is not None))
    stored = [piece async for piece in (await engine.follow(RUN)).pieces()]
    await life.kill()
    return world, stored


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("let"), st.integers(1, 6)),
        st.tuples(st.just("time"), st.sampled_from([0.001, 0.004, 0.02, 0.3, 1.0])),
        st.tuples(st.just("come"), st.integers(0, READERS - 1)),
        st.tuples(st.just("leave"), st.integers(0, READERS - 1)),
        st.tuples(st.just("fail"), st.none()),
        st.tuples(st.just("kill"), st.none()),
    ),
    min_size=4,
    max_size=40,
)
SHOWN_AND_LOST = [("time", 0.3), ("let", 7), ("time", 0.3), ("let", 4), ("time", 0.001), ("kill", None), ("time", 0.02)]

FAILED_TWICE = [
    ("let", 3),
    ("time", 0.3),
    ("fail", None),
    ("let", 9),
    ("time", 0.3),
    ("fail", None),
    ("let", 1),
    ("time", 1),
]


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.sampled_from([0, 0, 0, AHEAD_MAX]), st.integers(0, 1000))
@example(SHOWN_AND_LOST, 0, 0)
@example(FAILED_TWICE, 0, 0)
@example([*SHOWN_AND_LOST, *SHOWN_AND_LOST], AHEAD_MAX, 1)
def test_any_order_of_telling_commits_kills_and_readers_gives_exactly_the_final_sequence(actions, burst, seed):
    world, stored = run_virtually(played(actions, burst, seed))
    expect_whole(stored)
    final = [(each.step, each.text) for each in standing(stored)]
    for reader in world.readers:
        expect_whole(reader.pieces)  # over all its visits: no gap, nothing twice
        assert [(each.step, each.text) for each in standing(reader.pieces)] == final
    by_step = defaultdict(list)
    for step, text in final:
        by_step[step].append(text.split())
    for step, prefix in (("step0#0", "s0"), ("step1#0", "s1"), ("left#0", "l"), ("right#0", "r")):
        words = [f"{prefix}{word}{more}" for word in range(STEP_WORDS) for more in ("", *dots(burst, prefix))]
        assert [word for *_, word in by_step.pop(step)] == words
    assert [word for *_, word in by_step[""]] == ["b0", "b1", "end"]
    assert len({attempt for _, attempt, _ in by_step.pop("")}) == 1  # never the text of two attempts
    assert not by_step
    for step in ("step0#0", "step1#0", "left#0", "right#0"):
        assert len({text.split()[0] for each, text in final if each == step}) == 1


def dots(burst, prefix):
    return [f".{more}" for more in range(burst if prefix == "s1" else 0)]


class Two:
    """Two workers of one store; each has a handler that waits to be let on."""

    def __init__(self):
        self.disk = Disk()
        self.lives = 0
        self.go_on = asyncio.Event()

    async def serve(self, order: Order, ctx) -> None:
        self.lives += 1
        await ctx.read("first", self.first, ctx)
        ctx.tell(f"life {self.lives} ")
        await self.go_on.wait()
        ctx.tell("end")

    async def first(self, ctx) -> None:
        ctx.tell("first ")

    @asynccontextmanager
    async def worker(self, name):
        parts = parts_of(self.disk, self.serve, name=name)
        async with running(parts, owner=name, beside=True) as engine:
            yield engine


async def read(engine, kept):
    async for piece in (await engine.follow(RUN)).pieces():
        kept.append(piece)


async def divided(disk):
    store = MemoryStore(disk)
    claim = await store.claim("alone")
    await store.divide(claim, 2)
    await store.leave(claim)


def test_a_run_of_another_worker_is_followed_through_the_store():
    async def lives():
        two = Two()
        await divided(two.disk)
        here, there = [], []
        async with two.worker("a") as first, two.worker("b") as second:
            await asyncio.sleep(20)  # the partitions are shared out
            assert first.partitions
            assert second.partitions
            await first.send(Order(customer="a"), id="o1")
            readers = [asyncio.ensure_future(read(first, here)), asyncio.ensure_future(read(second, there))]
            await asyncio.sleep(5)
            assert [piece.text for piece in there] == [piece.text for piece in here] == ["first ", "life 1 "]
            two.go_on.set()
            async with asyncio.timeout(10):
                await asyncio.gather(*readers)
        for pieces in (here, there):
            expect_whole(pieces)
            assert [piece.text for piece in standing(pieces)] == ["first ", "life 1 ", "end"]

    run_virtually(lives())


def test_a_stream_goes_on_where_its_partition_goes():
    async def lives():
        two = Two()
        kept = []
        async with two.worker("a") as first:
            await asyncio.sleep(5)
            await first.send(Order(customer="a"), id="o1")
            reader = asyncio.ensure_future(read(first, kept))
            await asyncio.sleep(5)
            await first.delivering.disown(0, within_s=1)
            await asyncio.sleep(5)
            assert [piece.text for piece in kept] == ["first ", "life 1 "]
            await first.delivering.own([0])  # as another one would
            two.go_on.set()
            async with asyncio.timeout(20):
                await reader
        expect_whole(kept)
        assert [piece.text for piece in standing(kept)] == ["first ", "life 2 ", "end"]

    run_virtually(lives())
