"""The contract of `StateStore`, as tests. An adapter inherits them and supplies a store and a way to lose its process.

    class TestMyStore(StateStoreContract):
        @pytest.fixture
        async def store(self, tmp_path: Path) -> AsyncGenerator[MyStore]:
            async with open_my_store(tmp_path) as store:
                yield store

        @pytest.fixture
        def reopened(self, store: MyStore) -> Callable[[], Awaitable[MyStore]]:
            async def another() -> MyStore: ...  # as after a crash: `store` is not closed in order

            return another

`store` is one object that also keeps the log, since a commit writes both. Each test names the guarantee that it checks.
There is no way to switch one off: what an adapter cannot do belongs in another port.
"""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest
from msgspec import structs

from penstock.core.agents.journal import encode_chunk
from penstock.core.agents.unit import JournalCut, ProgressWrite, RunChange, ValueWrite, Writes
from penstock.core.events.envelope import Position, Recorded
from penstock.core.events.envelope import run_id as run_id_of
from penstock.core.sessions.history import MESSAGES_MAX
from penstock.errors import Fenced
from penstock.ports.state import Claim, StoredRun
from penstock.ports.store import Store
from penstock.testing.commits import (
    LATER_MS,
    NOW_MS,
    ReopenedStore,
    change,
    chunk,
    clashing,
    delta,
    done,
    expect_nothing_of_each,
    expect_one_of_each,
    found,
    ids_in_log,
    one_of_each,
    record,
    recorded,
    steps,
    value,
)

ODD_NAMES = {
    "empty": "",
    "blank": " ",
    "quotes": "a'b\"c",
    "unicode": "ключ 🚀",
    "a zero": "a\x00b",
    "wildcards": "%_*?",
    "a path": "../../x",
    "long": "k" * 5_000,
}


class StateStoreContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def reopened(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens another store on what was committed")

    async def test_s1_a_commit_writes_each_of_its_parts(self, store: Store, reopened: ReopenedStore) -> None:
        await store.commit(await store.claim("w"), 1, one_of_each())
        for each in (store, await reopened()):
            await expect_one_of_each(each)

    async def test_s1_a_commit_of_nothing_is_one_too(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes())
        await store.commit(claim, 2, one_of_each())
        await expect_one_of_each(store)

    @pytest.mark.parametrize("clash", ["offset", "event id", "event id within", "chunk", "chunk within"])
    async def test_s1_a_commit_that_fails_in_the_middle_leaves_nothing(
        self, store: Store, reopened: ReopenedStore, clash: str
    ) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(events=[recorded("old")], journal=[chunk("old:a", 0, "old")]))
        with pytest.raises(Fenced):
            await store.commit(claim, 2, clashing(clash))
        for each in (store, await reopened()):
            await expect_nothing_of_each(each)
            assert await ids_in_log(each) == ["old"]
            assert await steps(each, "old:a") == ["old"]

    @pytest.mark.parametrize("clash", ["offset", "event id", "chunk"])
    async def test_s1_a_commit_works_after_one_that_failed(self, store: Store, clash: str) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(events=[recorded("old")], journal=[chunk("old:a", 0, "old")]))
        with pytest.raises(Fenced):
            await store.commit(claim, 2, clashing(clash))
        await store.commit(claim, 2, one_of_each(offset=2))
        await expect_one_of_each(store, offset=2)

    async def test_s1_the_last_change_of_a_run_wins(self, store: Store) -> None:
        claim = await store.claim("w")
        first = change("r:a", status="retrying", attempt=1, reason="it was tired")
        second = structs.replace(first, attempt=2, due_ms=LATER_MS, reason="still")
        await store.commit(claim, 1, Writes(runs=[first, second]))
        assert (await found(store, "r:a")).change == second
        last = structs.replace(first, status="succeeded", attempt=3, result=b'{"x":1}', duration_ms=12.345)
        await store.commit(claim, 2, Writes(runs=[last]))
        assert (await found(store, "r:a")).change == last

    async def test_s1_a_journal_is_read_in_the_order_of_its_chunks(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(events=[recorded("e")], journal=[chunk("e:a", 0, "s#0", "s#1")]))
        many = [chunk("e:a", number, f"s#{number + 1}") for number in range(1, 12)]
        await store.commit(claim, 2, Writes(journal=[*many, chunk("e:b", 0, "other")]))
        stored = await found(store, "e:a")
        assert [record.step for record in stored.records] == [f"s#{number}" for number in range(13)]
        assert stored.chunks == 12
        assert await steps(store, "e:b") == ["other"]

    async def test_s7_what_is_cut_off_of_a_journal_is_gone_and_its_chunks_go_on_in_number(self, store: Store) -> None:
        claim = await store.claim("w")
        known = [chunk("e:a", 0, "s#0"), chunk("e:a", 1, "s#1"), chunk("e:b", 0, "other")]
        await store.commit(claim, 1, Writes(events=[recorded("e")], journal=known))
        await store.commit(claim, 2, Writes(cuts=[JournalCut("e:a", 2)], journal=[chunk("e:a", 2, "new#0")]))
        stored = await found(store, "e:a")
        assert ([record.step for record in stored.records], stored.chunks) == (["new#0"], 3)
        with pytest.raises(Fenced):
            await store.commit(claim, 3, Writes(cuts=[JournalCut("e:a", 2)], journal=[chunk("e:a", 2, "twice")]))
        assert await steps(store, "e:b") == ["other"]

    async def test_s1_the_records_in_the_last_change_end_the_journal(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(events=[recorded("e")], journal=[chunk("e:a", 0, "first")]))
        last = change("e:a", records=encode_chunk([record("second"), record("third")]))
        await store.commit(claim, 2, Writes(runs=[last]))
        stored = await found(store, "e:a")
        assert stored.records == [record("first"), record("second"), record("third")]
        assert stored.chunks == 1  # the next chunk's number: what the change carries is no chunk

    async def test_s1_a_value_is_set_changed_and_removed(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(values=[value("x", b"1"), value("y", b"2"), value("z", None)]))
        assert dict(await store.values("t", "a", "k")) == {"x": b"1", "y": b"2"}
        await store.commit(claim, 2, Writes(values=[value("x", b""), value("y", None)]))
        assert dict(await store.values("t", "a", "k")) == {"x": b""}

    async def test_s1_values_of_one_commit_are_written_in_order(self, store: Store) -> None:
        claim = await store.claim("w")
        writes = [value("x", b"1"), value("x", None), value("y", None), value("y", b"2"), value("y", b"3")]
        await store.commit(claim, 1, Writes(values=writes))
        assert dict(await store.values("t", "a", "k")) == {"y": b"3"}

    async def test_s1_progress_keeps_its_mark_and_ranges(self, store: Store) -> None:
        claim = await store.claim("w")
        ranges = [(4, 4), (7, 2**40 - 1)]
        await store.commit(claim, 1, Writes(progress=[done(2, []), ProgressWrite("a", "u", 3, 0, [])]))
        await store.commit(claim, 2, Writes(progress=[done(2, ranges)]))
        marks = await store.progress()
        assert set(marks) == {("a", "t", 0), ("a", "u", 3)}
        assert (marks["a", "t", 0].low, marks["a", "t", 0].above) == (2, ranges)

    async def test_s1_progress_is_a_copy(self, store: Store) -> None:
        await store.commit(await store.claim("w"), 1, Writes(progress=[done(2, [])]))
        (await store.progress())["a", "t", 0].mark(3)
        assert (await store.progress())["a", "t", 0].low == 2

    async def test_s1_a_session_keeps_its_newest_messages(self, store: Store) -> None:
        claim = await store.claim("w")
        for number in range(0, 3 * MESSAGES_MAX, 2):
            await store.commit(claim, number + 1, Writes(sessions=[delta(number, 2)]))
        history = await store.history("t", "s", now_ms=NOW_MS)
        assert [message.content for message in history.messages] == [
            str(number) for number in range(2 * MESSAGES_MAX, 3 * MESSAGES_MAX)
        ]
        assert history.number == 3 * MESSAGES_MAX

    @pytest.mark.parametrize("sizes", [(1,) * 45, (3, 50, 1), (50,), (19, 1, 1), (20, 20), (7,) * 9])
    async def test_s1_a_session_is_cut_whatever_was_added_together(self, store: Store, sizes: Sequence[int]) -> None:
        claim = await store.claim("w")
        total = 0
        for number, size in enumerate(sizes, 1):
            await store.commit(claim, number, Writes(sessions=[delta(total, size)]))
            total += size
            history = await store.history("t", "s", now_ms=NOW_MS)
            kept = range(max(0, total - MESSAGES_MAX), total)
            assert [message.content for message in history.messages] == [str(each) for each in kept]
            assert history.number == total

    async def test_s1_expired_messages_are_not_read(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(sessions=[delta(0, 1, expires_ms=NOW_MS + 1), delta(1, 1)]))
        before = await store.history("t", "s", now_ms=NOW_MS)
        after = await store.history("t", "s", now_ms=NOW_MS + 1)
        assert [message.content for message in before.messages] == ["0", "1"]
        assert [message.content for message in after.messages] == ["1"]
        assert (before.number, after.number) == (2, 2)

    async def test_s1_a_session_that_expired_whole_goes_on_counting(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(sessions=[delta(0, 3, expires_ms=NOW_MS)]))
        assert (await store.history("t", "s", now_ms=NOW_MS)).number == 3
        await store.commit(claim, 2, Writes(sessions=[delta(3, 1)]))
        history = await store.history("t", "s", now_ms=NOW_MS)
        assert ([message.content for message in history.messages], history.number) == (["3"], 4)

    async def test_s1_what_nobody_wrote_is_empty(self, store: Store) -> None:
        assert await store.run("e:a") is None
        assert dict(await store.values("t", "a", "k")) == {}
        assert dict(await store.progress()) == {}
        history = await store.history("t", "s", now_ms=NOW_MS)
        assert (list(history.messages), history.number) == ([], 0)

    @pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
    async def test_s1_any_name_is_allowed(self, store: Store, reopened: ReopenedStore, name: str) -> None:
        event = Recorded(Position(name, 0, 1), structs.replace(recorded("e").event, id=name, key=name, tenant=name))
        run = run_id_of(name, "a")
        writes = Writes(
            events=[event],
            runs=[structs.replace(change(run), key=name, tenant=name, reason=name)],
            sessions=[structs.replace(delta(0, 1), tenant=name, session=name)],
            values=[ValueWrite(name, name, name, name, b"v")],
            progress=[ProgressWrite(name, name, 0, 1, [])],
        )
        await store.commit(await store.claim(name), 1, writes)
        another = await reopened()
        assert await another.event(name) == event
        assert (await found(another, run)).change == writes.runs[0]
        assert (await another.history(name, name, now_ms=NOW_MS)).number == 1
        assert dict(await another.values(name, name, name)) == {name: b"v"}
        assert set(await another.progress()) == {(name, name, 0)}

    async def test_s2_the_older_claim_is_fenced_and_writes_nothing(self, store: Store, reopened: ReopenedStore) -> None:
        old = await store.claim("first")
        new = await store.claim("second")
        with pytest.raises(Fenced) as refusal:
            await store.commit(old, 1, one_of_each())
        assert (refusal.value.owner, refusal.value.epoch) == ("first", old.epoch)
        for each in (store, await reopened()):
            await expect_nothing_of_each(each)
        await store.commit(new, 1, one_of_each())
        await expect_one_of_each(store)

    async def test_s2_a_worker_that_claims_again_fences_itself(self, store: Store) -> None:
        old, new = await store.claim("same"), await store.claim("same")
        assert old != new
        with pytest.raises(Fenced):
            await store.commit(old, 1, one_of_each())
        await store.commit(new, 1, one_of_each())

    async def test_s2_a_claim_fences_across_a_crash(self, store: Store, reopened: ReopenedStore) -> None:
        old = await store.claim("same")
        another = await reopened()
        new = await another.claim("same")
        with pytest.raises(Fenced):
            await another.commit(old, 1, one_of_each())
        await another.commit(new, 1, one_of_each())
        await expect_one_of_each(another)

    async def test_s2_a_repeat_of_what_was_written_is_fenced_as_well(self, store: Store) -> None:
        old = await store.claim("first")
        await store.commit(old, 1, one_of_each())
        await store.claim("second")
        with pytest.raises(Fenced):
            await store.commit(old, 1, one_of_each())

    async def test_s2_nobody_commits_without_a_claim(self, store: Store) -> None:
        with pytest.raises(Fenced):
            await store.commit(Claim("nobody", 7), 1, one_of_each())
        await expect_nothing_of_each(store)

    async def test_s2_an_append_beside_the_owner_takes_the_claim_away(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.append("t", [recorded("beside").event])
        with pytest.raises(Fenced):
            await store.commit(claim, 1, one_of_each())
        assert await ids_in_log(store) == ["beside"]

    async def test_s2_what_rivals_are_told_is_what_is_written(self, store: Store) -> None:
        outcomes: list[str] = []

        async def work(number: int) -> None:
            claim = await store.claim(f"rival-{number}")
            await anyio.lowlevel.checkpoint()
            try:
                await store.commit(claim, 1, Writes(runs=[change(f"{number}:a")]))
            except Fenced:
                outcomes.append("fenced")
            else:
                outcomes.append(f"{number}:a")

        async with anyio.create_task_group() as rivals:
            for number in range(10):
                rivals.start_soon(work, number)
        written = [f"{number}:a" for number in range(10) if await store.run(f"{number}:a") is not None]
        # More than one may win, one after the other; what is written is what its writer was told.
        assert written == sorted(outcome for outcome in outcomes if outcome != "fenced")
        assert written

    async def test_s3_what_was_committed_is_there_after_a_crash(self, store: Store, reopened: ReopenedStore) -> None:
        claim = await store.claim("w")
        for number in range(1, 51):
            await store.commit(claim, number, Writes(runs=[change(f"{number}:a")]))
        another = await reopened()
        assert all([await another.run(f"{number}:a") is not None for number in range(1, 51)])

    async def test_s4_a_repeated_commit_writes_nothing(self, store: Store, reopened: ReopenedStore) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, one_of_each())
        await store.commit(claim, 1, one_of_each())
        await store.commit(claim, 1, Writes(values=[value("x", b"of another")]))
        await expect_one_of_each(store)
        another = await reopened()
        await another.commit(claim, 1, one_of_each())
        await expect_one_of_each(another)

    async def test_s4_an_earlier_number_writes_nothing(self, store: Store) -> None:
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes())
        await store.commit(claim, 2, Writes())
        await store.commit(claim, 1, one_of_each())
        await expect_nothing_of_each(store)

    async def test_s4_each_claim_counts_from_one(self, store: Store) -> None:
        for number, owner in enumerate(("first", "second", "second")):
            await store.commit(await store.claim(owner), 1, Writes(values=[value(f"v{number}", b"1")]))
        assert set(await store.values("t", "a", "k")) == {"v0", "v1", "v2"}

    async def test_s5_tenants_do_not_see_each_others_values(self, store: Store) -> None:
        mine, theirs = ValueWrite("t", "a", "k", "x", b"mine"), ValueWrite("u", "a", "k", "x", b"theirs")
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(values=[mine, theirs]))
        assert dict(await store.values("t", "a", "k")) == {"x": b"mine"}
        await store.commit(claim, 2, Writes(values=[structs.replace(mine, body=None)]))
        assert dict(await store.values("u", "a", "k")) == {"x": b"theirs"}
        assert [dict(await store.values(*each)) for each in (("", "a", "k"), ("T", "a", "k"))] == [{}, {}]

    async def test_s5_agents_and_keys_do_not_see_each_others_values(self, store: Store) -> None:
        wheres = [("t", "a", "k"), ("t", "a", "l"), ("t", "b", "k"), ("ta", "", "k"), ("t", "", "ak")]
        writes = [ValueWrite(*where, "x", repr(where).encode()) for where in wheres]
        await store.commit(await store.claim("w"), 1, Writes(values=writes))
        for where in wheres:
            assert dict(await store.values(*where)) == {"x": repr(where).encode()}

    async def test_s5_tenants_and_sessions_do_not_see_each_other(self, store: Store) -> None:
        wheres = [("t", "s"), ("u", "s"), ("t", "r"), ("ts", ""), ("", "ts")]
        deltas = [structs.replace(delta(0, 1, text=repr(where)), tenant=where[0], session=where[1]) for where in wheres]
        claim = await store.claim("w")
        await store.commit(claim, 1, Writes(sessions=deltas))
        # One session goes on until its first messages are gone: the others keep theirs.
        many = [delta(number, 1) for number in range(1, 3 * MESSAGES_MAX)]
        await store.commit(claim, 2, Writes(sessions=many))
        for tenant, session in wheres[1:]:
            history = await store.history(tenant, session, now_ms=NOW_MS)
            assert [message.content for message in history.messages] == [repr((tenant, session))]

    async def test_s6_a_run_is_queued_from_the_commit_of_its_event(self, store: Store) -> None:
        event = recorded("e:1")
        assert await store.run("e:1:a") is None
        await store.commit(await store.claim("w"), 1, Writes(events=[event]))
        stored = await found(store, "e:1:a")
        assert stored == StoredRun(RunChange("e:1:a", "a", "t", "k", "queued", 0, event.event.time_ms), [], 0)
        assert await store.run("e:a") is None

    async def test_s6_a_run_is_queued_from_the_append_of_its_event(self, store: Store, reopened: ReopenedStore) -> None:
        await store.append("t", [recorded("e").event])
        for each in (store, await reopened()):
            assert (await found(each, "e:a")).change.status == "queued"

    async def test_s6_a_queued_run_shows_the_steps_of_an_attempt_that_was_cut_off(
        self, store: Store, reopened: ReopenedStore
    ) -> None:
        await store.commit(await store.claim("w"), 1, Writes(events=[recorded("e")], journal=[chunk("e:a", 0, "s#0")]))
        stored = await found(await reopened(), "e:a")
        assert (stored.change.status, stored.records, stored.chunks) == ("queued", [record("s#0")], 1)

    async def test_s6_watchers_are_woken_by_the_events_of_a_commit(self, store: Store) -> None:
        woken = anyio.Event()
        store.watch(woken.set)
        await store.commit(await store.claim("w"), 1, Writes(events=[recorded("e")]))
        with anyio.fail_after(10):
            await woken.wait()
