"""The contract of a store that can be moved: what is exported from it, or imported into it, is the same store.

    class TestMyStoreCanBeMoved(CopyingContract):
        @pytest.fixture
        def address(self) -> str:
            return "sqlite:..."      # of a store that is not made yet; `penstock.testing.stores` opens it

What is moved is the life of a small app with everything under way: a conversation, large values, a workflow that waits for a
signal, a timer, a dead letter, a stream, an event in the inbox.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock import App, Context, Event, Retry, WorkflowContext
from penstock.adapters.clock.system import SystemClock
from penstock.adapters.exports.jsonl import JsonlReader, open_jsonl_writer
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.unit import Sent, Writes
from penstock.core.exports.lines import EventLine, Line, decode_line, encode_line, kind_of
from penstock.core.exports.selection import Selection
from penstock.errors import Refused, Unavailable
from penstock.layers.retrying_store import RetryingStore
from penstock.ports.state import DeadFilter
from penstock.ports.store import Store
from penstock.runtime.exporting import Exported, ExportSource, Origin, export
from penstock.runtime.importing import Import, require_finished
from penstock.testing.apps import Disk as AppDisk
from penstock.testing.apps import app
from penstock.testing.commits import recorded
from penstock.testing.stores import durable_store
from penstock.testing.virtual_time import run_virtually

LARGE = "large " * 20_000
ORIGIN = Origin("moving", "0", 1)
NO_RETRY = Retry(attempts_max=1)
_ORDERED = ("run", "dead", "waiting", "event")


class Said(Event, key="who"):
    who: str
    text: str = ""


class Heard(Event, key="who"):
    who: str
    times: int


class Travel(Event, key="who"):
    who: str


class Late(Event, key="who"):
    who: str


def moving(seen: list[str] | None = None) -> App:
    """Return the app whose store is moved."""
    seen = seen if seen is not None else []
    under_test = App("moving", events=[Said, Late])

    @under_test.agent(retry=NO_RETRY)
    async def hear(said: Said, ctx: Context) -> Heard:
        seen.append(said.text[:20])
        if said.text == "poison" and not seen.count("cured"):
            raise Refused("this cannot be heard", "send something else")
        times = await ctx.values.get("times", 0, to=int)
        await ctx.values.set("times", times + 1)
        await ctx.values.set("last", said.text)
        await ctx.session.add("user", said.text[:200])
        await ctx.step("think", _thought, said.text)
        for word in ("a", "b", "c"):
            ctx.stream("words").write(word)
        if said.text == "later":
            ctx.emit(Late(who=said.who), after_s=300_000_000)
        return Heard(who=said.who, times=times + 1)

    @under_test.agent(batch=3)
    async def count(heard: list[Heard]) -> None:
        seen.append(f"counted {len(heard)}")

    @under_test.workflow
    async def travel(asked: Travel, ctx: WorkflowContext) -> str:
        answer = await ctx.call("hear", Said(who=asked.who, text="booked"))
        ticket = await ctx.step("ticket", _thought, "ticket")
        word = await ctx.wait_for("word")
        return f"{answer.times} {ticket} {word}"

    return under_test


async def _thought(text: str) -> str:
    return f"thought of {text}"


async def lived() -> Disk:
    """Live the app's life in memory, and return what it left."""
    disk = AppDisk()
    async with app(moving(), disk=disk) as live:
        texts = ("hello", LARGE, "later", LARGE, "half \u00e9 \U0001f40c", "tab\t and \n line")
        for number, text in enumerate(texts):
            await live.call("hear", Said(who="ann", text=text), id=f"say {number}")
        await live.send(Said(who="bob", text="poison"), id="bad", tenant="acme")
        await live.send(Travel(who="carl"), id="trip")
        await live.settled()
    store = MemoryStore(disk.memory)
    inbox = recorded("posted").event
    await store.submit([Sent("late", 0, inbox)])
    return disk.memory


async def exported(source: ExportSource, place: Path, chosen: Selection | None = None) -> Exported:
    with open_jsonl_writer(place) as writer:
        return await export(source, writer, ORIGIN, chosen or Selection())


async def imported(place: Path, store: Store) -> int:
    clock = SystemClock()
    checked = await Import(JsonlReader(place), store, clock).check()
    return await Import(JsonlReader(place), store, clock).write(checked)


def lines_in(place: Path) -> list[Line]:
    """Return the rows in a file; those whose order means nothing are sorted."""
    lines = [decode_line(body) for _, body in JsonlReader(place).lines()]
    ordered = [line for line in lines if kind_of(line) in _ORDERED]
    others = [line for line in lines if kind_of(line) not in _ORDERED]
    return [*sorted(others, key=encode_line), *sorted(ordered, key=_partition)]


def _partition(line: Line) -> tuple[str, ...]:
    return (kind_of(line), line.topic, str(line.partition)) if isinstance(line, EventLine) else (kind_of(line),)


class CopyingContract:
    @pytest.fixture
    def address(self) -> str:
        raise NotImplementedError("supply the address of a store that is not made yet")

    @pytest.fixture
    async def first(self, tmp_path: Path) -> Path:
        """Return the export of the life that was lived in memory."""
        disk = await asyncio.to_thread(run_virtually, lived())
        place = tmp_path / "first.jsonl"
        await exported(MemoryStore(disk), place)
        return place

    async def test_a_store_is_the_same_after_it_was_moved_there_and_back(
        self, address: str, first: Path, tmp_path: Path
    ) -> None:
        async with durable_store(address) as store:
            assert await imported(first, store) > 30
            await exported(store, tmp_path / "second.jsonl")
        memory = MemoryStore(Disk(gaps=True))
        await imported(tmp_path / "second.jsonl", memory)
        await exported(memory, tmp_path / "third.jsonl")
        kinds = {kind_of(line) for line in lines_in(first)}
        assert kinds == {
            "penstock export", "end", "event", "run", "journal", "stream", "session", "value", "progress", "timer", "dead",
            "waiting", "blob",
        }  # fmt: skip
        expected = [encode_line(line) for line in lines_in(first) if kind_of(line) != "end"]
        for place in (tmp_path / "second.jsonl", tmp_path / "third.jsonl"):
            assert [encode_line(line) for line in lines_in(place) if kind_of(line) != "end"] == expected

    async def test_importing_again_changes_nothing(self, address: str, first: Path) -> None:
        async with durable_store(address) as store:
            assert await imported(first, store) > 30
            claim = await store.claim("w")
            assert await imported(first, store) == 0
            await store.commit(claim, 1, Writes())  # nobody took the store

    async def test_what_was_under_way_goes_on_in_the_other_store(self, address: str, first: Path) -> None:
        async with durable_store(address) as store:
            await imported(first, store)
        seen: list[str] = []
        async with moving(seen).running(store=address) as live:
            answer: Any = await live.call("hear", Said(who="ann", text="again"))
            assert answer["times"] == 7
            assert "poison" not in seen
            (letter,) = await live.dead_letters(DeadFilter(tenant="acme"))
            seen.append("cured")
            await live.redrive(letter.run_id, tenant="acme")
            await live.signal("trip:travel", "word", "go")
            async with asyncio.timeout(20):
                run = await live.engine.until(
                    lambda: live.engine.run("trip:travel"), lambda run: run.change.status != "running"
                )
            assert run.change.result == b'"1 thought of ticket go"'
            assert await live.engine.settled(20)
            assert "booked" not in seen
            assert seen.count("poison") == 1
            assert [each.event.type for each in await live.timers(tenant=None)] == ["Late.v1"]
            history = await live.engine.parts.store.history("default", "ann", now_ms=0)
            assert history.messages[0].content == "hello"

    async def test_an_import_that_was_stopped_keeps_apps_out_and_goes_on(self, address: str, first: Path) -> None:
        async with durable_store(address) as store:
            for nth in range(2, 100):
                try:
                    await imported(first, Stopping(store, nth))  # type: ignore[arg-type]
                    break
                except Unavailable:
                    await self._expect_closed(store)
            else:
                pytest.fail("it never ended")
            assert nth > 3
            assert await imported(first, store) == 0
        async with moving().running(store=address) as live:
            assert (await live.call("hear", Said(who="dora")))["times"] == 1

    async def _expect_closed(self, store: Store) -> None:
        with pytest.raises(Refused, match="do it again, with the same file"):
            await require_finished(store)

    async def test_a_part_is_moved_with_what_belongs_to_it(self, address: str, first: Path, tmp_path: Path) -> None:
        async with durable_store(address) as store:
            await imported(first, store)
            found: dict[str, Sequence[str]] = {}
            for name, chosen in {
                "tenant": Selection(tenant="acme"),
                "run": Selection(run="trip:travel"),
                "topic": Selection(topic="travel"),
                "none": Selection(topic="no such topic"),
            }.items():
                await exported(store, tmp_path / f"{name}.jsonl", chosen)
                lines = [decode_line(body) for _, body in JsonlReader(tmp_path / f"{name}.jsonl").lines()][1:-1]
                found[name] = [kind_of(line) for line in lines]
        assert sorted(found["tenant"]) == ["dead", "event", "progress", "run"]
        assert set(found["run"]) == {"event", "run", "journal", "progress"}
        assert set(found["topic"]) == {"event", "run", "journal", "progress"}
        assert found["none"] == []
        memory = MemoryStore(Disk(gaps=True))
        await imported(tmp_path / "tenant.jsonl", memory)
        assert [letter.run_id for letter in await memory.dead_letters()] == ["bad:hear"]
        ((_, mark),) = (await memory.progress()).items()
        assert mark.low == (await memory.ends())["said", 0]


class Stopping(RetryingStore):
    """A store whose n-th commit never comes."""

    def __init__(self, inner: Store, nth: int) -> None:
        super().__init__(inner, SystemClock())
        self._left = nth

    async def commit(self, claim: Any, number: int, writes: Writes) -> None:
        self._left -= 1
        if self._left == 0:
            raise Unavailable("the store", "commit")
        await super().commit(claim, number, writes)
