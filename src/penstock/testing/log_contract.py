"""The contract of `EventLog`, as tests. An adapter inherits them and supplies a log and a way to lose its process.

    class TestMyLog(EventLogContract):
        @pytest.fixture
        async def log(self, tmp_path: Path) -> AsyncGenerator[MyLog]:
            async with open_my_log(tmp_path) as log:
                yield log

        @pytest.fixture
        def reopened(self, log: MyLog) -> Callable[[], Awaitable[MyLog]]:
            async def another() -> MyLog: ...  # as after a crash: `log` is not closed in order, only what is durable is there

            return another

Each test names the guarantee that it checks. There is no way to switch one off: what an adapter cannot do belongs in
another port.
"""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import anyio.lowlevel
import pytest

from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.ports.log import EventLog

ReopenedLog = Callable[[], Awaitable[EventLog]]
ALL = 1_000_000


def made(event_id: str, *, key: str = "k", data: bytes = b"{}") -> Envelope:
    """Return an event with this id."""
    return Envelope(event_id, "/contract", "Made.v1", key, 1_700_000_000_000, data, correlation_id=event_id)


A, B, C, D = (made(name) for name in "abcd")


class EventLogContract:
    @pytest.fixture
    def log(self) -> EventLog:
        raise NotImplementedError("supply the log under test")

    @pytest.fixture
    def reopened(self) -> ReopenedLog:
        raise NotImplementedError("supply what opens another log on what was durable")

    async def test_l1_offsets_count_from_one(self, log: EventLog) -> None:
        assert list(await log.append("t", [A, B])) == [Position("t", 0, 1), Position("t", 0, 2)]
        assert list(await log.append("t", [C])) == [Position("t", 0, 3)]

    async def test_l1_reads_in_the_order_of_appends(self, log: EventLog) -> None:
        await log.append("t", [C, A])
        await log.append("t", [B])
        assert await everything(log, "t") == [C, A, B]

    async def test_l1_reads_from_an_offset_up_to_a_limit(self, log: EventLog) -> None:
        await log.append("t", [A, B, C, D])
        page = await log.read("t", 0, after=1, limit=2)
        assert [(each.position.offset, each.event) for each in page] == [(2, B), (3, C)]
        assert list(await log.read("t", 0, after=4, limit=2)) == []
        assert list(await log.read("t", 0, after=2**60, limit=2)) == []

    async def test_l1_tells_the_ends(self, log: EventLog) -> None:
        assert dict(await log.ends()) == {}
        await log.append("t", [A, B])
        await log.append("u", [C])
        assert dict(await log.ends()) == {("t", 0): 2, ("u", 0): 1}

    async def test_l1_many_writers_leave_no_gap_and_no_double(self, log: EventLog) -> None:
        async with anyio.create_task_group() as writers:
            for writer in range(10):
                events = [made(f"{writer}-{number}") for number in range(5)]
                writers.start_soon(log.append, "t", events)
        recorded = await log.read("t", 0, after=0, limit=ALL)
        assert [each.position.offset for each in recorded] == list(range(1, 51))
        assert len({each.event.id for each in recorded}) == 50

    async def test_l2_what_was_appended_is_there_after_a_crash(self, log: EventLog, reopened: ReopenedLog) -> None:
        places = await log.append("t", [A, B])
        another = await reopened()
        found = await another.read("t", 0, after=0, limit=ALL)
        assert list(found) == [Recorded(places[0], A), Recorded(places[1], B)]
        assert list(await another.append("t", [C])) == [Position("t", 0, 3)]

    async def test_l2_keeps_each_byte_of_an_event(self, log: EventLog, reopened: ReopenedLog) -> None:
        odd = Envelope(
            "01J/é:#%\n",
            "/søurce",
            "Ω.v2",
            "k\x00ey 🚀",
            -1,
            bytes(range(256)),
            "ten'ant",
            "cor",
            "cause",
            63,
            "00-ab-cd-01",
        )
        large = made("large", data=b'"' + b"x" * 5_000_000 + b'"')
        bare = Envelope("bare", "", "", "", 0, b"")
        await log.append("odd / 'topic' 🚀", [odd, large, bare])
        assert await everything(await reopened(), "odd / 'topic' 🚀") == [odd, large, bare]

    async def test_l3_an_append_shows_whole(self, log: EventLog) -> None:
        seen: set[int] = set()

        async def look() -> None:
            while not (ends := await log.ends()) or ends["t", 0] < 200:
                seen.add(len(await log.read("t", 0, after=0, limit=ALL)))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            for number in range(20):
                await log.append("t", [made(f"{number}-{part}") for part in range(10)])
        assert all(count % 10 == 0 for count in seen), seen

    async def test_l3_an_append_of_nothing_writes_nothing(self, log: EventLog) -> None:
        assert list(await log.append("t", [])) == []
        assert dict(await log.ends()) == {}

    async def test_l4_an_event_that_is_there_is_not_written_again(self, log: EventLog, reopened: ReopenedLog) -> None:
        first = await log.append("t", [A, B])
        assert list(await log.append("t", [A, B])) == list(first)
        another = await reopened()
        assert list(await another.append("t", [B, C])) == [first[1], Position("t", 0, 3)]
        assert await everything(another, "t") == [A, B, C]

    async def test_l4_knows_an_event_given_twice_in_one_append(self, log: EventLog) -> None:
        assert [each.offset for each in await log.append("t", [A, B, A])] == [1, 2, 1]
        assert await everything(log, "t") == [A, B]

    async def test_l4_the_first_body_of_an_id_stays(self, log: EventLog) -> None:
        await log.append("t", [A])
        await log.append("t", [made("a", data=b'"another"')])
        assert await everything(log, "t") == [A]

    async def test_l5_topics_do_not_see_each_other(self, log: EventLog) -> None:
        await log.append("t", [A])
        await log.append("t ", [B])
        await log.append("T", [C])
        assert [await everything(log, topic) for topic in ("t", "t ", "T", "unknown", "")] == [[A], [B], [C], [], []]

    async def test_l5_partitions_do_not_see_each_other(self, log: EventLog) -> None:
        for topic, event in (("t", A), ("u", B), ("v", C)):
            await log.append(topic, [event])
        for partition in (-1, 1, 2, 2047, 2048, 4096, 2**40):
            assert list(await log.read("t", partition, after=0, limit=ALL)) == []

    async def test_l5_no_offset_leads_into_another_topic(self, log: EventLog) -> None:
        for topic, event in (("t", A), ("u", B), ("v", C)):
            await log.append(topic, [event])
        for after in (0, -1, -(2**60)):
            assert [each.event for each in await log.read("u", 0, after=after, limit=ALL)] == [B]
        for after in (1, 2**40 - 1, 2**40, 2**51, 2**80):
            assert list(await log.read("u", 0, after=after, limit=ALL)) == []

    async def test_l6_wakes_the_watchers_after_an_append(self, log: EventLog) -> None:
        woken = [anyio.Event(), anyio.Event()]
        for each in woken:
            log.watch(each.set)
        await log.append("t", [A])
        with anyio.fail_after(10):
            for each in woken:
                await each.wait()
        assert await everything(log, "t") == [A]

    async def test_l6_does_not_wake_who_stopped_watching(self, log: EventLog) -> None:
        woken, left = anyio.Event(), anyio.Event()
        stop = log.watch(left.set)
        log.watch(woken.set)
        stop()
        await log.append("t", [A])
        with anyio.fail_after(10):
            await woken.wait()
        assert not left.is_set()

    async def test_l6_who_is_woken_may_stop_watching(self, log: EventLog) -> None:
        woken, other = anyio.Event(), anyio.Event()

        def once() -> None:
            woken.set()
            stop()

        stop = log.watch(once)
        log.watch(other.set)
        await log.append("t", [A])
        with anyio.fail_after(10):
            await woken.wait()
            await other.wait()


async def everything(log: EventLog, topic: str) -> Sequence[Envelope]:
    """Return the events of a topic."""
    return [each.event for each in await log.read(topic, 0, after=0, limit=ALL)]
