"""The contract of `PrunableStore`, as tests. An adapter inherits them and supplies a store, as for `StateStoreContract`."""

from collections.abc import Sequence

import pytest
from msgspec.msgpack import encode as encode_value
from msgspec.structs import replace

from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.journal import encode_chunk
from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.retention import Ended, RunRules
from penstock.core.agents.unit import DeadLetter, ProgressWrite, RunChange, ValueWrite, Writes
from penstock.core.events.envelope import Recorded, emitted_id
from penstock.ports.retention import DRY, How, OldEvents, PrunableStore, Pruned
from penstock.ports.state import Claim
from penstock.ports.store import Store
from penstock.testing.commits import NOW_MS, change, chunk, delta, found, ids_in_log, record, recorded

LATER = NOW_MS + 1
ALL = 10_000
ALL_RUNS = RunRules(Ended(LATER, LATER), {})
NO_RUNS = RunRules(Ended(0, 0), {})
JOURNALS = RunRules(Ended(0, LATER), {})


def old(*agents: str, before_ms: int = LATER, through: int = 0, rules: RunRules = ALL_RUNS) -> OldEvents:
    return OldEvents("t", 0, agents, before_ms, through, rules)


def events(*ids: str) -> list[Recorded]:
    return [recorded(each, offset=offset) for offset, each in enumerate(ids, 1)]


def all_done(last: int) -> list[ProgressWrite]:
    return [ProgressWrite("a", "t", 0, last, [])]


class PrunableStoreContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    async def claim(self, store: Store) -> Claim:
        return await store.claim("worker")

    async def test_g1_what_all_agents_are_done_with_goes_with_its_runs(self, store: Store, claim: Claim) -> None:
        runs = [change("e1:a", records=encode_chunk([record("s#1")])), change("e2:a")]
        chunks = [chunk("e1:a", 0, "s#0")]
        writes = Writes(events=events("e1", "e2", "last"), runs=runs, journal=chunks, progress=all_done(3))
        await store.commit(claim, 1, writes)
        pruned = await store.prune_events(old("a"), after=0, limit=ALL)
        assert (pruned.removed, pruned.after) == (2, 0)
        assert await ids_in_log(store) == ["last"]
        assert [await store.event(each) for each in ("e1", "e2")] == [None, None]
        assert [await store.run(each) for each in ("e1:a", "e2:a")] == [None, None]
        # The same id may come again, and its run begins anew.
        again = Writes(events=[recorded("e1", offset=4)], journal=[chunk("e1:a", 0, "other#0")])
        await store.commit(claim, 2, again)
        assert [each.step for each in (await found(store, "e1:a")).records] == ["other#0"]

    @pytest.mark.parametrize("by_event", [True, False])
    async def test_g1_values_that_are_of_a_run_go_with_it(self, store: Store, claim: Claim, by_event: bool) -> None:  # noqa: FBT001 - a parameter of the test
        runs = [replace(change(f"{each}:a"), tenant="t\\1") for each in ("e1", "e2")]
        mine = [ValueWrite("t\\1", owner, run.run_id, "n", b"1") for run in runs for owner in OF_RUNS]
        others = [ValueWrite("t\\1", "a", "e1:a", "n", b"1"), ValueWrite("u", OF_RUNS[0], "e1:a", "n", b"1")]
        writes = Writes(runs=runs, values=[*mine, *others])
        if by_event:
            writes.events, writes.progress = events("e1", "last"), all_done(2)
        await store.commit(claim, 1, writes)
        if by_event:
            assert (await store.prune_events(old("a"), after=0, limit=ALL)).removed == 1
        else:
            assert (await store.prune_runs(ALL_RUNS, after=0, limit=1)).removed == 1
        assert await store.run("e1:a") is None
        for owner in OF_RUNS:
            assert await store.values("t\\1", owner, "e1:a") == {}
            assert await store.values("t\\1", owner, "e2:a") == {"n": b"1"}
        for each in others:
            assert await store.values(each.tenant, each.agent, each.key) == {"n": b"1"}

    @pytest.mark.parametrize("low", [0, 1, 2])
    async def test_g1_what_an_agent_is_not_done_with_stays(self, store: Store, claim: Claim, low: int) -> None:
        progress = [ProgressWrite("a", "t", 0, 4, []), ProgressWrite("b", "t", 0, low, [(4, 4)])]
        await store.commit(claim, 1, Writes(events=events("e1", "e2", "e3", "last"), progress=progress))
        await store.prune_events(old("a", "b"), after=0, limit=ALL)
        assert await ids_in_log(store) == ["e1", "e2", "e3", "last"][low:]

    async def test_g1_an_agent_that_never_began_is_done_with_nothing(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, Writes(events=events("e1", "last"), progress=all_done(2)))
        assert await store.prune_events(old("a", "new"), after=0, limit=ALL) == Pruned()

    async def test_g1_events_that_no_agent_takes_go_by_age(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, Writes(events=events("e1", "last")))
        assert (await store.prune_events(old(before_ms=NOW_MS), after=0, limit=ALL)).removed == 0
        assert (await store.prune_events(old(before_ms=LATER), after=0, limit=ALL)).removed == 1

    async def test_g1_events_go_by_number(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, Writes(events=events("e1", "e2", "e3", "last")))
        assert (await store.prune_events(old(before_ms=0, through=2), after=0, limit=ALL)).removed == 2
        assert await ids_in_log(store) == ["e3", "last"]

    @pytest.mark.parametrize("status", ["running", "retrying", "queued", "asking"])
    async def test_g1_an_event_whose_run_is_under_way_stays(self, store: Store, claim: Claim, status: str) -> None:
        run = replace(change("e1:a"), status=status)
        await store.commit(claim, 1, Writes(events=events("e1", "last"), runs=[run], progress=all_done(2)))
        assert (await store.prune_events(old("a"), after=0, limit=ALL)).removed == 0
        assert (await found(store, "e1:a")).change == run

    async def test_g1_an_event_whose_run_ended_lately_stays(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, Writes(events=events("e1", "last"), runs=[change("e1:a")], progress=all_done(2)))
        assert (await store.prune_events(old("a", rules=NO_RUNS), after=0, limit=ALL)).removed == 0
        mine = RunRules(Ended(0, 0), {"a": Ended(LATER, 0)})
        assert (await store.prune_events(old("a", rules=mine), after=0, limit=ALL)).removed == 1

    async def test_g1_a_dead_letter_is_never_dropped(self, store: Store, claim: Claim) -> None:
        event = recorded("e1")
        letter = DeadLetter("e1:a", "a", event, "no", 5, NOW_MS)
        run = change("e1:a", status="failed", records=encode_chunk([record("s#0")]))
        writes = Writes(events=[event, recorded("last", offset=2)], runs=[run], dead=[letter], progress=all_done(2))
        await store.commit(claim, 1, writes)
        await store.prune_events(old("a"), after=0, limit=ALL)
        await store.prune_runs(ALL_RUNS, after=0, limit=ALL)
        assert list(await store.dead_letters()) == [letter]
        assert [each.step for each in (await found(store, "e1:a")).records] == ["s#0"]
        await store.commit(claim, 2, Writes(settled=["e1:a"]))
        await store.prune_events(old("a"), after=0, limit=ALL)
        assert await ids_in_log(store) == ["last"]

    async def test_g1_an_id_is_known_as_long_as_what_followed_from_it(self, store: Store, claim: Claim) -> None:
        after = recorded(emitted_id("e1:a", "e1", 0), offset=1, topic="u")
        writes = Writes(events=[*events("e1", "e10", "last"), after], progress=all_done(3))
        await store.commit(claim, 1, writes)
        await store.prune_events(old("a"), after=0, limit=ALL)
        assert await ids_in_log(store) == ["e1", "last"]
        await store.commit(claim, 2, Writes(events=[recorded("v", offset=2, topic="u")]))
        await store.prune_events(replace(old(), topic="u"), after=0, limit=ALL)
        await store.prune_events(old("a"), after=0, limit=ALL)
        assert await ids_in_log(store) == ["last"]

    async def test_g9_the_mark_says_up_to_where_events_went_by_the_same_transaction(
        self, store: Store, claim: Claim
    ) -> None:
        mark = ("t", "keeper", "gone", "up to")
        marked = replace(old("a"), mark=mark)
        await store.commit(claim, 1, Writes(events=events("e1", "e2", "e3", "last"), progress=all_done(4)))
        assert (await store.prune_events(marked, after=0, limit=ALL, how=DRY)).found
        assert await store.values(*mark[:3]) == {}
        await store.prune_events(marked, after=0, limit=ALL, how=How(among=frozenset({"e2"})))
        assert await store.values(*mark[:3]) == {"up to": encode_value(2)}
        await store.prune_events(marked, after=0, limit=ALL, how=How(among=frozenset({"e1"})))
        assert await store.values(*mark[:3]) == {"up to": encode_value(2)}
        await store.prune_events(marked, after=0, limit=ALL)
        assert await store.values(*mark[:3]) == {"up to": encode_value(3)}
        assert await store.prune_events(marked, after=0, limit=ALL) == Pruned()
        assert await store.values(*mark[:3]) == {"up to": encode_value(3)}

    async def test_g2_the_journal_of_a_run_that_ended_goes_and_its_result_stays(
        self, store: Store, claim: Claim
    ) -> None:
        run = replace(change("e1:a", records=encode_chunk([record("s#1")])), result=b"42")
        told = StreamChunk("e1:a", 0, "t", "", 0, 1, b"x")
        writes = Writes(events=events("e1"), runs=[run], journal=[chunk("e1:a", 0, "s#0")], streams=[told])
        await store.commit(claim, 1, writes)
        assert (await store.prune_runs(NO_RUNS, after=0, limit=ALL)).removed == 0
        assert (await store.prune_runs(JOURNALS, after=0, limit=ALL)).removed == 3
        stored = await found(store, "e1:a")
        assert (stored.change.status, stored.change.result, stored.records, stored.streamed) == (
            "succeeded", b"42", [], False
        )  # fmt: skip
        assert (await store.prune_runs(JOURNALS, after=0, limit=ALL)).removed == 0

    @pytest.mark.parametrize("status", ["running", "retrying", "asking"])
    async def test_g2_the_journal_of_a_run_under_way_stays(self, store: Store, claim: Claim, status: str) -> None:
        run = replace(change("e1:a"), status=status)
        await store.commit(claim, 1, Writes(events=events("e1"), runs=[run], journal=[chunk("e1:a", 0, "s#0")]))
        assert (await store.prune_runs(ALL_RUNS, after=0, limit=ALL)).removed == 0
        assert len((await found(store, "e1:a")).records) == 1

    async def test_g2_the_run_of_a_batch_goes_by_its_age(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, Writes(events=events("e1", "e2"), runs=[change("e1+1:a"), change("e1:a")]))
        assert (await store.prune_runs(JOURNALS, after=0, limit=ALL)).removed == 0
        assert (await store.prune_runs(ALL_RUNS, after=0, limit=ALL)).removed == 1
        assert await store.run("e1+1:a") is None
        assert (await found(store, "e1:a")).change.status == "succeeded"

    async def test_g3_the_last_event_of_a_partition_stays(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, Writes(events=events("e1", "e2", "e3")))
        await prune_all(store, old(through=3))
        assert await ids_in_log(store) == ["e3"]
        assert dict(await store.ends()) == {("t", 0): 3}
        await store.commit(claim, 2, Writes(events=[recorded("e4", offset=4)]))
        assert await ids_in_log(store) == ["e3", "e4"]

    async def test_g3_an_empty_or_unknown_partition_is_left_alone(self, store: Store, claim: Claim) -> None:
        assert claim.epoch
        assert await store.prune_events(old(), after=0, limit=ALL) == Pruned()

    async def test_g4_a_call_goes_on_where_the_last_one_stopped(self, store: Store, claim: Claim) -> None:
        ids = [f"e{number}" for number in range(10)]
        runs: list[RunChange] = [change(f"{each}+1:a") for each in ids]
        await store.commit(claim, 1, Writes(events=events(*ids, "last"), runs=runs))
        assert await prune_all(store, old(), limit=3) == [3, 3, 3, 1]
        removed, after = list[int](), 0
        while True:
            pruned = await store.prune_runs(ALL_RUNS, after=after, limit=4)
            removed.append(pruned.removed)
            after = pruned.after
            if not after:
                break
        assert removed == [4, 4, 2]

    async def test_g4_expired_messages_go_part_by_part(self, store: Store, claim: Claim) -> None:
        gone = [replace(delta(0, 1, expires_ms=NOW_MS), session=f"s{number}") for number in range(5)]
        kept = [replace(delta(0, 1, expires_ms=LATER), session=f"k{number}") for number in range(5)]
        await store.commit(claim, 1, Writes(sessions=[*gone, *kept]))
        removed, after = 0, b""
        for _ in range(10):
            swept = await store.prune_sessions(NOW_MS, after=after, limit=3)
            removed, after = removed + swept.removed, swept.after
            if not after:
                break
        assert removed == 5
        assert [(await store.history("t", f"k{each}", now_ms=NOW_MS)).number for each in range(5)] == [1] * 5
        assert [(await store.history("t", f"s{each}", now_ms=0)).number for each in range(5)] == [0] * 5

    async def test_g6_a_dry_call_says_what_would_go_and_removes_nothing(self, store: Store, claim: Claim) -> None:
        child = recorded(emitted_id("e1:a", "e1", 0), offset=4)
        runs = [change("e1:a", records=encode_chunk([record("s#1")])), change("e2:a")]
        letter = DeadLetter("e3:a", "a", recorded("e3", offset=3), "no", 5, NOW_MS)
        told = StreamChunk("e1:a", 0, "t", "", 0, 1, b"xy")
        writes = Writes(
            events=[*events("e1", "e2", "e3"), child, recorded("last", offset=5)],
            runs=runs,
            dead=[letter],
            journal=[chunk("e1:a", 0, "s#0")],
            streams=[told],
            progress=all_done(5),
            sessions=[delta(0, 1, expires_ms=NOW_MS)],
        )
        await store.commit(claim, 1, writes)
        pruned = await store.prune_events(old("a"), after=0, limit=ALL, how=DRY)
        assert [(each.id, each.followers) for each in pruned.found] == [("e1", 1), ("e2", 0), (child.event.id, 0)]
        assert (pruned.removed, pruned.freed_bytes) == (0, sum(each.held_bytes for each in pruned.found))
        journals = await store.prune_runs(JOURNALS, after=0, limit=ALL, how=DRY)
        size = len(chunk("e1:a", 0, "s#0").body) + len(runs[0].records) + 2
        assert [(each.id, each.held_bytes) for each in journals.found] == [("e1:a", size)]
        assert (await store.prune_sessions(NOW_MS, after=b"", limit=ALL, dry=True)).removed == 1
        assert await ids_in_log(store) == ["e1", "e2", "e3", child.event.id, "last"]
        assert [each.step for each in (await found(store, "e1:a")).records] == ["s#0", "s#1"]
        assert (await store.history("t", "s", now_ms=0)).number == 1
        done = await store.prune_events(old("a"), after=0, limit=ALL)
        assert sorted(each.id for each in done.found) == sorted(["e2", child.event.id])
        assert done.removed == 2

    async def test_g6_a_call_among_some_removes_of_nothing_else(self, store: Store, claim: Claim) -> None:
        runs = [change(f"e{each}:a", records=encode_chunk([record("s#1")])) for each in (1, 2, 3)]
        writes = Writes(events=events("e1", "e2", "e3", "last"), runs=runs, progress=all_done(2))
        await store.commit(claim, 1, writes)
        some = How(among=frozenset({"e2", "e3", "no"}))
        pruned = await store.prune_events(old("a"), after=0, limit=ALL, how=some)
        assert [each.id for each in pruned.found] == ["e2"]
        assert await ids_in_log(store) == ["e1", "e3", "last"]
        journals = await store.prune_runs(JOURNALS, after=0, limit=ALL, how=How(among=frozenset({"e3:a", "e2:a"})))
        assert (journals.removed, [each.id for each in journals.found]) == (1, ["e3:a"])
        assert len((await found(store, "e1:a")).records) == 1

    async def test_g7_runs_that_ended_come_newest_first_and_page_by_page(self, store: Store, claim: Claim) -> None:
        runs = [replace(change(f"e{each}:a"), at_ms=each, agent=f"a{each % 2}") for each in range(1, 8)]
        runs[4].status = "running"
        await store.commit(claim, 1, Writes(runs=runs))
        first = await store.ended_runs(before=0, limit=4)
        assert [(each.agent, each.at_ms) for each in first] == [("a1", 7), ("a0", 6), ("a0", 4), ("a1", 3)]
        rest = await store.ended_runs(before=first[-1].number, limit=4)
        assert [each.at_ms for each in rest] == [2, 1]
        assert list(await store.ended_runs(before=rest[-1].number, limit=4)) == []

    @pytest.mark.parametrize("limit", [1, 2, ALL])
    async def test_g8_values_go_by_when_they_were_written(self, store: Store, claim: Claim, limit: int) -> None:
        old, new, kept = (ValueWrite("t", "a", "k", name, b"12", at) for name, at in (("x", 5), ("y", 9), ("z", 0)))
        other = ValueWrite("t", "b", "k", "x", b"12", 5)
        again = ValueWrite("t", "a", "k2", "x", b"12", 5)
        await store.commit(claim, 1, Writes(values=[old, new, kept, other, again]))
        await store.commit(claim, 2, Writes(values=[replace(again, at_ms=9)]))
        for dry in (True, False, False):
            removed, freed, after = 0, 0, b""
            while True:
                swept = await store.prune_values({"a": 9}, after=after, limit=limit, dry=dry)
                removed, freed, after = removed + swept.removed, freed + swept.freed_bytes, swept.after
                if not after:
                    break
            left = await store.values("t", "a", "k")
            assert (removed, freed, sorted(left)) in (
                [(1, 2, ["x", "y", "z"])] if dry else [(1, 2, ["y", "z"]), (0, 0, ["y", "z"])]
            )
        assert sorted(await store.values("t", "b", "k")) == sorted(await store.values("t", "a", "k2")) == ["x"]

    async def test_g5_reading_passes_over_what_is_gone(self, store: Store, claim: Claim) -> None:
        child = recorded(emitted_id("e2:a", "e2", 0), offset=1, topic="u")
        await store.commit(claim, 1, Writes(events=[*events("e1", "e2", "e3", "e4"), child]))
        await store.prune_events(old(), after=0, limit=ALL)
        left = await store.read("t", 0, after=0, limit=ALL)
        assert [(each.event.id, each.position.offset) for each in left] == [("e2", 2), ("e4", 4)]
        assert [each.event.id for each in await store.read("t", 0, after=2, limit=1)] == ["e4"]
        assert await store.read("t", 0, after=4, limit=1) == []


async def prune_all(store: PrunableStore, which: OldEvents, *, limit: int = ALL) -> Sequence[int]:
    removed, after = list[int](), 0
    while True:
        pruned = await store.prune_events(which, after=after, limit=limit)
        removed.append(pruned.removed)
        after = pruned.after
        if not after:
            return removed
