"""What is about somebody goes: from log, state, runs, timers, knowledge, memory and files; and a receipt proves it."""

import asyncio
from pathlib import Path

import pytest

from penstock import App, Context, Event, Passage, WorkflowContext
from penstock.adapters.clock.system import SystemClock
from penstock.core.agents.forgetting import read_receipt
from penstock.core.events.event import Event as Plain
from penstock.core.knowledge.passages import Space
from penstock.errors import Forgotten, Invalid, Missing, RunCancelled
from penstock.testing.hashed_embedder import HashedEmbedder

ANNA, BEN = "anna@example.org", "ben@example.org"
SECRET = "The knee of Anna hurts since tuesday"
OTHER = "The dog of Ben is called Rufus Maximus"


class Said(Event, key="who", subject="who"):
    who: str
    text: str


class Noted(Event, key="who"):
    who: str
    text: str


class Count(Event, key="desk", subject=""):
    desk: str = "one"


class Trip(Event, key="who", subject=lambda trip: trip.who):
    who: str
    text: str = ""


def clinic():
    app = App("clinic")
    files = app.knowledge("files")
    app.embedder("one", HashedEmbedder(32, 1))
    app.embedder("two", HashedEmbedder(16, 2))

    @app.agent
    async def listen(said: Said, ctx: Context) -> str:
        await ctx.session.add("user", said.text)
        await ctx.values.set("last", said.text)
        await ctx.step("think", str.upper, said.text)
        ctx.stream().write(said.text)
        files.put(Passage(f"note {said.who}", said.text))
        ctx.emit(Noted(who=said.who, text=said.text))
        ctx.emit(Noted(who=said.who, text=f"poison {said.text}"))
        ctx.emit(Noted(who=said.who, text=f"later: {said.text}"), after_s=86_400)
        ctx.emit(Count())
        return said.text

    @app.agent(key="who")
    async def note(noted: Noted, ctx: Context) -> None:
        if "poison" in noted.text:
            raise Invalid(noted.text, ())

    @app.agent
    async def count(_: Count, ctx: Context) -> int:
        number = await ctx.values.get("n", 0) + 1
        await ctx.values.set("n", number)
        return number

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        return await ctx.wait_for(trip.text, str)

    return app


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'clinic.db'}"


async def talked(live):
    """Have two people say something, which comes to all kinds of rows."""
    for who, text in ((ANNA, SECRET), (BEN, OTHER)):
        assert await live.call("listen", Said(who=who, text=text), id=f"of {who[:3]}") == text
        await live.knowledge("files").put(Passage(f"file {who}", f"{text}, in full", {"subject": who}))
    await live.engine.settled(10)
    await live.knowledge("files").indexed()


async def spoken(live):
    return repr(
        [
            await live.engine.parts.store.read(topic, 0, after=0, limit=999)
            for topic, _ in await live.engine.parts.store.ends()
        ]
    )


async def test_all_goes_that_is_about_a_subject_and_nothing_else(store):
    async with clinic().running(store=store, embedder="one") as live:
        await talked(live)
        before = await spoken(live)
        assert SECRET in before
        assert len(await live.knowledge("files").search(SECRET, limit=9)) == 4
        receipt = await live.forget(ANNA)
        inner = live.engine.parts.store
        after = await spoken(live)
        assert SECRET not in after
        assert ANNA not in after
        assert before.count(OTHER) == after.count(OTHER)
        assert sorted(each.id for each in await live.knowledge("files").search("x", limit=9, mode="vectors")) == [
            f"file {BEN}",
            f"note {BEN}",
        ]
        assert await inner.values("default", "listen", ANNA) == {}
        assert list((await inner.history("default", ANNA, now_ms=0)).messages) == []
        assert (await inner.values("default", "listen", BEN)).keys() == {"last"}
        assert len((await inner.history("default", BEN, now_ms=0)).messages) == 1
        assert [each.event.event.key for each in await inner.dead_letters()] == [BEN]
        assert [each.event.key for each in await inner.timers()] == [BEN]
        run = await inner.run("of ann:listen")
        assert (run.change.status, run.change.result, run.change.key, run.records) == ("succeeded", b"", "", [])
        assert [each.text async for each in live.stream("of ben:listen") if each.kind == "token"] == [OTHER]
        assert await live.call("count", Count()) == 3
        assert receipt.erased["events"] >= 4
        assert receipt.erased["passages"] == 2
        assert {"runs", "messages", "values", "dead letters", "streams"} <= receipt.erased.keys()
        assert (receipt.tenant, receipt.keys, receipt.checked.found) == ("default", 1, ())
        assert ANNA not in repr(receipt)
        traces = await live.traces(ANNA, texts=[SECRET])
        assert traces.is_nothing
        assert traces.checked.found == ()


async def test_the_receipt_is_signed_by_this_store_and_kept():
    async with (
        clinic().running(store="memory:", embedder="one") as live,
        clinic().running(store="memory:", embedder="one") as other,
    ):
        await talked(live)
        receipt = await live.forget(ANNA)
        assert await live.forgotten(ANNA) == receipt
        assert await live.forgotten(BEN) is None
        assert live.is_receipt(receipt)
        assert live.is_receipt(receipt, ANNA)
        assert not live.is_receipt(receipt, BEN)
        import msgspec

        plain = msgspec.to_builtins(receipt)
        assert live.is_receipt(plain, ANNA)
        assert not live.is_receipt({**plain, "at_ms": 1})
        assert not other.is_receipt(receipt)
        with pytest.raises(Invalid):
            live.is_receipt({"what": 1})
        again = await live.forget(ANNA)
        assert (again.erased, again.keys) == ({}, 0)
        assert read_receipt(plain).subject == again.subject


async def test_the_same_subject_of_another_tenant_stays():
    async with clinic().running(store="memory:", embedder="one") as live:
        for tenant in ("default", "u"):
            await live.call("listen", Said(who=ANNA, text=SECRET), tenant=tenant)
        await live.knowledge("files").indexed()
        await live.forget(ANNA)
        assert len(await live.knowledge("files", tenant="u").search(SECRET)) == 1
        assert len(await live.knowledge("files").search(SECRET)) == 0
        assert await live.engine.parts.store.values("u", "listen", ANNA) != {}
        assert SECRET in await spoken(live)


async def test_what_is_said_later_is_new_and_a_rebuild_does_not_bring_the_rest_back(store):
    async with clinic().running(store=store, embedder="one") as live:
        books = live.knowledge("files")
        await talked(live)
        building = await books.generations.build("two")
        await books.generations.ready(building)
        await live.forget(ANNA)
        assert await live.call("listen", Said(who=ANNA, text="I am back")) == "I am back"
        await books.indexed()
        await books.generations.ready(await books.generations.build(replaces=True))
        index = live.engine.services.collections["files"].index
        for each in await books.generations.list():
            if each.generation.status not in ("dropping", "dropped"):
                space = Space("files", "default", each.generation.number)
                assert sorted(await index.vectors.digests(space)) == [f"file {BEN}", f"note {ANNA}", f"note {BEN}"]
        assert (await books.generations.verify()).is_equal
        assert [each.text for each in await books.search("I am back", limit=1)] == ["I am back"]
        assert len(await books.search("x", limit=9, as_of=2, mode="vectors")) <= 1


async def test_what_is_under_way_is_cancelled(store):
    async with clinic().running(store=store, embedder="one") as live:
        runs = [await live.start("travel", Trip(who=who, text="go")) for who in (ANNA, BEN)]
        await live.engine.settled(5)
        receipt = await live.forget(ANNA)
        assert receipt.erased["events"] >= 1
        with pytest.raises(RunCancelled):
            await live.result(runs[0])
        await live.signal(runs[1], "go", "home")
        assert await live.result(runs[1]) == "home"
    if store != "memory:":
        async with clinic().running(store=store, embedder="one") as live:
            assert await live.result(runs[1]) == "home"


async def test_an_event_that_is_gone_is_typed_and_passed_over(tmp_path):
    store = f"sqlite:{tmp_path / 'clinic.db'}"
    async with clinic().running(store=store, embedder="one") as live:
        await live.call("listen", Said(who=ANNA, text=SECRET), id="of ann")
        await live.forget(ANNA)
        gone = await live.engine.parts.store.event("of ann")
        with pytest.raises(Forgotten):
            Said.decoded(gone.event.data)
    late = clinic()

    @late.agent
    async def late_comer(said: Said) -> str:
        return said.text

    async with late.running(store=store, embedder="one") as live:
        assert await live.call("late_comer", Said(who=BEN, text=OTHER)) == OTHER
        await live.engine.settled(5)
        run = await live.engine.parts.store.run("of ann:late_comer")
        assert run.change.status == "cancelled"
        assert [each.event.event.subject for each in await live.dead_letters()] == [BEN]


async def test_nothing_of_it_can_be_read_in_the_files(tmp_path):
    path = tmp_path / "clinic.db"
    async with clinic().running(store=f"sqlite:{path}", embedder="one") as live:
        await talked(live)
        files = await asyncio.to_thread(lambda: b"".join(each.read_bytes() for each in Path(tmp_path).glob("*")))
        assert SECRET.encode() in files
        receipt = await live.forget(ANNA)
        assert receipt.checked.files >= 2
        assert receipt.checked.needles >= 2
        files = await asyncio.to_thread(lambda: b"".join(each.read_bytes() for each in Path(tmp_path).glob("*")))
        assert SECRET.encode() not in files
        assert ANNA.encode() not in files
        assert OTHER.encode() in files


async def test_who_cannot_be_forgotten_is_refused():
    app = App("plain")

    @app.agent
    async def count(_: Count) -> None: ...

    async with app.running(store="memory:") as live:
        with pytest.raises(Missing, match="whom events are about"):
            await live.forget(ANNA)
    async with clinic().running(store="memory:", embedder="one") as live:
        with pytest.raises(Invalid, match="is empty"):
            await live.forget("")
    with pytest.raises(Invalid, match="is not a field"):

        class Wrong(Plain, subject="nobody"):
            pass


class SetBack(SystemClock):
    """A clock that goes an hour ahead, until it is set right."""

    ahead_ms = 3_600_000

    def now_ms(self):
        return super().now_ms() + self.ahead_ms


async def test_large_values_go_too_that_were_used_by_a_clock_that_was_ahead(store):
    clock = SetBack()
    async with clinic().running(store=store, embedder="one", clock=clock) as live:
        await live.send(Said(who=ANNA, text=SECRET * 5000))
        assert await live.engine.settled(10)
        clock.ahead_ms = 0
        receipt = await live.forget(ANNA)
    assert receipt.erased["large values"] > 0
