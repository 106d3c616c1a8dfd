"""The contract of a store that outlives its processes: kills of whoever writes, callers who go away, limits.

    class TestMyStoreIsDurable(DurableStoreContract):
        @pytest.fixture
        def address(self) -> str:
            return "sqlite:..."      # of a store that is not made yet; `penstock.testing.stores` opens it

        @pytest.fixture
        def topics_max(self) -> int:
            return TOPICS_MAX        # how many topics the store keeps apart

Each test adds what the contracts of the ports cannot try within one process.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

import pytest

from penstock.core.agents.unit import Writes
from penstock.errors import Fenced, Invalid, LimitReached, Refused
from penstock.ports.store import Store
from penstock.stores import usage_of
from penstock.testing.commits import (
    NOW_MS,
    change,
    chunk,
    delta,
    expect_nothing_of_each,
    expect_one_of_each,
    found,
    ids_in_log,
    one_of_each,
    recorded,
    steps,
    value,
)
from penstock.testing.log_contract import everything, made
from penstock.testing.stores import durable_store

SIGKILLED = -9
EXIT_S = 30
TOLD_S = 30  # for servers that are busy


class DurableStoreContract:
    @pytest.fixture
    async def store(self, address: str) -> AsyncGenerator[Store]:
        async with durable_store(address) as opened:
            yield opened

    # kills

    @pytest.mark.parametrize("commits", [1, 2, 25, 300])
    async def test_what_a_killed_process_acknowledged_is_there(self, address: str, commits: int) -> None:
        acknowledged = killed_in_a_loop(address, after=commits)
        assert acknowledged >= commits
        async with durable_store(address) as store:
            await expect_whole(store, at_least=acknowledged)

    async def test_a_process_killed_between_commits_leaves_exactly_what_it_acknowledged(self, address: str) -> None:
        with worker(address, "pause") as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for number in range(1, 6):
                assert int(process.stdout.readline()) == number
                process.stdin.write("\n" if number < 5 else "")
                process.stdin.flush()
            process.kill()
        async with durable_store(address) as store:
            await expect_whole(store, at_least=5)
            assert await store.ends() == {("t", 0): 5}

    async def test_a_store_survives_many_kills_and_each_process_is_fenced_by_the_next(self, address: str) -> None:
        acknowledged = 0
        for _ in range(5):
            acknowledged = killed_in_a_loop(address, after=20)
        async with durable_store(address) as store:
            await expect_whole(store, at_least=acknowledged)
            claim = await store.claim("w")
            assert claim.epoch == 6
            await store.commit(claim, 1, one_of_each(offset=(await store.ends())["t", 0] + 1))

    async def test_who_opens_the_same_store_later_fences_who_has_it_open(self, address: str, store: Store) -> None:
        claim = await store.claim("first")
        async with durable_store(address) as other:
            later = await other.claim("second")
            with pytest.raises(Fenced):
                await store.commit(claim, 1, one_of_each())
            await expect_nothing_of_each(store)
            await other.commit(later, 1, one_of_each())
        await expect_one_of_each(store)

    async def test_what_is_asked_of_a_closed_store_is_refused(self, address: str) -> None:
        async with durable_store(address) as store:
            await store.claim("w")
        with pytest.raises(Refused, match="open the store again"):
            await store.ends()

    # callers who go away

    async def test_a_commit_whose_caller_is_cancelled_is_written_and_told(self, store: Store) -> None:
        claim = await store.claim("w")
        woken = asyncio.Event()
        store.watch(woken.set)
        async with asyncio.TaskGroup() as tasks:
            commit = tasks.create_task(store.commit(claim, 1, one_of_each()))
            await begun()
            commit.cancel()
            async with asyncio.timeout(TOLD_S):
                while await store.event("each") is None:
                    await woken.wait()
                    woken.clear()
        assert commit.cancelled()
        await expect_one_of_each(store)

    async def test_a_run_is_read_whole_while_commits_are_under_way(self, store: Store) -> None:
        claim = await store.claim("w")
        seen: set[str | None] = set()
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, 31):
                writes = Writes(events=[recorded(f"e{number}", offset=number)], runs=[change(f"e{number}:a")])
                commit = tasks.create_task(store.commit(claim, number, writes))
                while not commit.done():
                    run = await store.run(f"e{number}:a")
                    seen.add(None if run is None else run.change.status)
                    await asyncio.sleep(0)
        assert seen <= {None, "succeeded"}  # "queued" would be the event without its run, which came in the same commit

    # limits

    async def test_there_is_a_limit_to_the_number_of_topics(self, store: Store, topics_max: int) -> None:
        claim = await store.claim("w")
        events = [recorded(f"e{number}", topic=f"t{number}") for number in range(topics_max)]
        await store.commit(claim, 1, Writes(events=events))
        with pytest.raises(LimitReached, match=f"number of topics is {topics_max + 1}"):
            await store.commit(claim, 2, Writes(events=[recorded("e", topic="one more")]))
        assert len(await store.ends()) == topics_max
        for number in (0, topics_max - 1):
            assert [each.event.id for each in await store.read(f"t{number}", 0, after=0, limit=9)] == [f"e{number}"]

    async def test_a_topic_of_a_commit_that_failed_has_no_events_and_keeps_no_number(self, store: Store) -> None:
        claim = await store.claim("w")
        with pytest.raises(Fenced):
            await store.commit(claim, 1, Writes(events=[recorded("a", topic="lost"), recorded("a", topic="kept")]))
        await store.commit(claim, 1, Writes(events=[recorded("a", topic="kept"), recorded("b", topic="late")]))
        assert await store.ends() == {("kept", 0): 1, ("late", 0): 1}

    async def test_what_no_column_can_hold_is_refused_and_leaves_nothing(self, store: Store) -> None:
        claim = await store.claim("w")
        text: bytes = "no bytes, and no text either: \udfff"  # type: ignore[assignment]
        for write in (value("\ud800", b""), value("x", text)):
            writes = one_of_each()
            writes.values.append(write)
            with pytest.raises(Refused):
                await store.commit(claim, 1, writes)
            await expect_nothing_of_each(store)
        with pytest.raises(Refused):
            await store.append("t", [made("half \ud800 a character")])
        with pytest.raises(Refused):
            await store.run("half \ud800 a character:a")
        with pytest.raises(Invalid):
            await store.append("t", [made("a", key="half \ud800 a character")])
        await store.commit(await store.claim("w"), 1, one_of_each())

    async def test_large_events_are_kept(self, address: str, store: Store) -> None:
        large = [made(f"e{number}", data=bytes([number]) * 8_000_000) for number in range(3)]
        await store.append("t", large)
        async with durable_store(address) as other:
            assert await everything(other, "t") == large

    async def test_ten_thousand_turns_of_one_session_keep_its_table_small(self, address: str, store: Store) -> None:
        claim = await store.claim("w")
        rows: list[int] = []
        for group in range(100):
            turns = [delta(number, 1) for number in range(100 * group, 100 * group + 100)]
            await store.commit(claim, group + 1, Writes(sessions=turns))
            if group % 10 == 9:
                rows += [each.rows for each in (await usage_of(address)).parts if each.kind == "sessions"]
        assert len(rows) == 10
        assert max(rows) <= 40
        history = await store.history("t", "s", now_ms=NOW_MS)
        assert ([message.content for message in history.messages][-1], history.number) == ("9999", 10_000)

    async def test_a_chunk_that_is_there_fences_its_writer_for_good(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(journal=[chunk("e:a", 0, "s#0")]))
        with pytest.raises(Fenced) as refusal:
            await store.commit(claim, 2, Writes(journal=[chunk("e:a", 0, "s#0")]))
        assert (refusal.value.owner, refusal.value.epoch) == ("w", claim.epoch)


@contextmanager
def worker(address: str, *pause: str) -> Generator["subprocess.Popen[str]"]:
    """Run a process that commits without end; it is killed on leaving."""
    command = [sys.executable, "-m", "penstock.testing.commit_loop", address, *pause]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


def killed_in_a_loop(address: str, *, after: int) -> int:
    """Let a process commit, kill it after some commits, and return the last number that it acknowledged."""
    with worker(address) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(after)]
        assert told[-1], "the worker ended by itself"
        process.kill()
        rest = process.stdout.read().split("\n")[:-1]  # what follows the last line break is half a number
        assert process.wait(timeout=EXIT_S) == SIGKILLED
    return max(int(number) for number in [*told, *rest] if number)


async def expect_whole(store: Store, *, at_least: int) -> None:
    """Check that all commits of the loop up to the last one are there, each with all its parts, and nothing of another."""
    last = (await store.ends())["t", 0]
    assert last >= at_least
    assert await ids_in_log(store) == [f"e{number}" for number in range(1, last + 1)]
    for number in range(1, last + 1):
        assert await steps(store, f"e{number}:a") == ["s#0"]
        assert (await found(store, f"e{number}:a")).change.status == "succeeded"
    assert dict(await store.values("t", "a", "k")) == {"last": str(last).encode()}
    assert await store.run(f"e{last + 1}:a") is None


async def begun() -> None:
    """Let a task that was just made reach the backend."""
    for _ in range(3):
        await asyncio.sleep(0)
