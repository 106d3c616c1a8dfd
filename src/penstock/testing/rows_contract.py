"""The contract of `RowSource`, as tests. An adapter inherits them and supplies a store, and an empty one beside it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec import structs

from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.unit import DeadLetter, ProgressWrite, Sent, Writes
from penstock.core.events.blobs import Blob, BlobUse, digest_of, referring
from penstock.core.events.envelope import Envelope, Position, Recorded, emitted_id
from penstock.core.timing.timers import Timer, TimerWrite
from penstock.ports.rows import KINDS, Kind, RowSource
from penstock.ports.state import Claim
from penstock.ports.store import Store
from penstock.testing.commits import (
    NOW_MS,
    change,
    chunk,
    delta,
    one_of_each,
    recorded,
    told,
    value,
)

LARGE = b"x" * 100_000
ODD = "o\0d\\d '\" \u00e9\U0001f40c"


def many() -> Writes:
    """Return a commit with several rows of each kind, odd names among them."""
    writes = one_of_each()
    timers = [Timer(f"t{each}", 0, "wall", 5 - each, 0, "t", recorded(f"t{each}").event, "a", ODD) for each in range(4)]
    sent = [Sent("u", 0, recorded(f"w{each}").event) for each in (3, 1, 2, 0)]
    return Writes(
        events=[*writes.events, odd_event(2), *(recorded(f"e{each}", offset=each) for each in range(3, 6))],
        journal=[*writes.journal, chunk("each:a", 1, "s#2"), chunk("e3:b", 0, "s#0"), chunk(f"{ODD}:a", 0, "s#0")],
        runs=[*writes.runs, *(change(f"e{each}:a") for each in (4, 3, 5)), change("e3+2:batch"), change(f"{ODD}:a")],
        sessions=[*writes.sessions, delta(2, 1), delta(3, 2)],
        values=[*writes.values, value("y", b"2"), value("z", referring(LARGE, digest_of(LARGE)))],
        progress=[*writes.progress, ProgressWrite("b", "t", 0, 3, []), ProgressWrite("b", "u", 1, 0, [(2, 3), (5, 5)])],
        dead=[DeadLetter("e5:a", "a", recorded("e5", offset=5), "why", 1, NOW_MS), *writes.dead],
        timers=[TimerWrite(each.id, each) for each in timers],
        streams=[told("e3:a", 0, "x", "y"), told("e3:a", 2, "z"), told("e4:a", 0, "w", name="n")],
        sent=sent,
        blobs=[Blob(digest_of(LARGE), LARGE)],
        blob_uses=[BlobUse(digest_of(LARGE), ("value", "t", "a", "k"), NOW_MS)],
    )


def odd_event(offset: int) -> Recorded:
    fields = ("/odd", "Odd.v1", ODD, NOW_MS, b'{"x": 1.0}', ODD, "c", "d", 3, "00-1", "r:w", "a b")
    return Recorded(Position("t", 0, offset), Envelope(ODD, *fields))


class RowSourceContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def empty(self) -> Callable[[], Awaitable[Store]]:
        """Return what opens another, empty store."""
        raise NotImplementedError("supply another store")

    @pytest.fixture
    async def claim(self, store: Store) -> Claim:
        return await store.claim("worker")

    @pytest.mark.parametrize("limit", [1, 2, 1000])
    async def test_x1_pages_hold_each_row_once_and_in_order(self, store: Store, claim: Claim, limit: int) -> None:
        await store.commit(claim, 1, many())
        expected = many()
        for kind in KINDS:
            found = await all_rows(store, kind, limit=limit)
            wanted = getattr(expected, kind)
            if kind in ("events", "runs", "dead", "sent"):
                assert found == wanted
            assert sorted(map(repr, found)) == sorted(map(repr, wanted))

    async def test_x1_an_empty_store_has_no_rows(self, store: Store, claim: Claim) -> None:
        assert claim.epoch
        assert [await all_rows(store, kind) for kind in KINDS] == [[] for _ in KINDS]

    async def test_x2_what_is_committed_into_an_empty_store_makes_it_the_same(
        self, store: Store, claim: Claim, empty: Callable[[], Awaitable[Store]]
    ) -> None:
        await store.commit(claim, 1, many())
        other = await empty()
        copier = await other.claim("copier")
        blobs = [Blob(digest, body) for digest, body in (await store.blobs([digest_of(LARGE)])).items()]
        await other.commit(copier, 1, Writes(blobs=blobs, blob_uses=many().blob_uses))
        number = 1
        for kind in KINDS:
            after = b""
            while True:
                page = await store.rows(kind, after=after, limit=2)
                number += 1
                await other.commit(copier, number, page.rows)
                after = page.after
                if not after:
                    break
        for kind in KINDS:
            assert await all_rows(other, kind) == await all_rows(store, kind)
        first, second = [await run_ids(each) for each in (store, other)]
        assert first == second
        await expect_same_answers(store, other)

    async def test_x3_all_that_belongs_to_events_is_found(self, store: Store, claim: Claim) -> None:
        child = recorded(emitted_id("e3:a", "e3", 0), offset=1, topic="u")
        writes = many()
        writes.events.append(child)
        writes.runs.append(change(f"{child.event.id}:a"))
        writes.runs.append(change("e33:a"))
        await store.commit(claim, 1, writes)
        found = await store.rows_of(["e3", "each", "no"])
        assert sorted(each.event.id for each in found.events) == ["e3", "each"]
        assert sorted(each.run_id for each in found.runs) == ["e3+2:batch", "e3:a", "each:a"]
        assert [(each.run_id, each.number) for each in sorted(found.journal, key=lambda each: each.run_id)] == [
            ("e3:b", 0),
            ("each:a", 0),
            ("each:a", 1),
        ]
        assert [(each.run_id, each.first) for each in found.streams] == [("e3:a", 0), ("e3:a", 2)]
        assert found.dead == writes.dead[1:]
        assert (found.sessions, found.values, found.progress) == ([], [], [])

    async def test_x3_odd_names_are_found_too(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, many())
        found = await store.rows_of([ODD])
        assert [each.event for each in found.events] == [odd_event(2).event]
        assert [each.run_id for each in found.runs] == [f"{ODD}:a"]
        assert [each.run_id for each in found.journal] == [f"{ODD}:a"]

    async def test_x4_rows_with_the_same_keys_are_known(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, many())
        found = await store.known(many())
        for kind in KINDS:
            assert sorted(map(repr, getattr(found, kind))) == sorted(map(repr, getattr(many(), kind)))
        other = Writes(
            events=[recorded("no", offset=9)],
            journal=[chunk("each:a", 7, "s#9")],
            runs=[change("no:a")],
            sessions=[delta(9, 1)],
            values=[value("no", b"")],
            progress=[ProgressWrite("a", "t", 1, 3, [])],
            streams=[StreamChunk("e3:a", 0, "t", "", 1, 1, b"")],
            dead=[DeadLetter("no:a", "a", recorded("no"), "", 1, 1)],
            timers=[TimerWrite("no", many().timers[0].timer)],
            sent=[Sent("u", 0, recorded("no").event)],
        )
        assert await store.known(other) == Writes()

    async def test_x4_an_event_is_known_by_its_id_and_by_its_place(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, many())
        elsewhere = Recorded(Position("new", 3, 70), recorded("e3").event)
        assert [each.event.id for each in (await store.known(Writes(events=[elsewhere]))).events] == ["e3"]
        instead = recorded("another", offset=4)
        assert [each.event.id for each in (await store.known(Writes(events=[instead]))).events] == ["e4"]
        both = await store.known(Writes(events=[recorded("e3", offset=4)]))
        assert sorted(each.event.id for each in both.events) == ["e3", "e4"]

    async def test_x5_a_page_has_as_many_rows_as_were_asked_for(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, many())
        for kind in KINDS:
            page = await store.rows(kind, after=b"", limit=2)
            assert len(getattr(page.rows, kind)) == 2, kind
            others = structs.asdict(page.rows)
            del others[kind]
            assert not any(others.values())

    async def test_x6_the_number_of_partitions_is_told(self, store: Store, claim: Claim) -> None:
        assert await store.partitions() == 1
        await store.divide(claim, 3)
        assert await store.partitions() == 3

    async def test_x7_rows_are_counted_by_kind(self, store: Store, claim: Claim) -> None:
        assert (await store.usage()).parts == []
        await store.commit(claim, 1, many())
        parts = {(each.kind, each.name): each for each in (await store.usage()).parts}
        assert (parts["events", "t"].rows, parts["runs", "a"].rows, parts["blobs", ""].rows) == (5, 6, 1)
        assert parts["blobs", ""].bytes_used == len(LARGE)
        assert {kind for kind, _ in parts} == {
            "events", "runs", "journals", "streams", "sessions", "values", "blobs", "timers", "dead letters"
        }  # fmt: skip


async def all_rows(store: RowSource, kind: Kind, *, limit: int = 1000) -> Sequence[Any]:
    """Return the rows of a kind, read page by page."""
    found: list[Any] = []
    after = b""
    while True:
        page = await store.rows(kind, after=after, limit=limit)
        assert len(getattr(page.rows, kind)) <= limit
        found += getattr(page.rows, kind)
        after = page.after
        if not after:
            return found


async def run_ids(store: Store) -> list[str]:
    """Return the ids of all runs that are listed, the newest first."""
    from penstock.ports.state import RunFilter

    return [each.run_id for each in await store.runs(RunFilter(limit=1000))]


async def expect_same_answers(store: Store, other: Store) -> None:
    """Check that two stores answer alike what is asked about `many`."""
    for each in (store, other):
        assert await each.event("each") == recorded("each")
        assert [found.event.id for found in await each.read("t", 0, after=3, limit=1)] == ["e4"]
        assert (await each.timers(limit=1))[0].id == "t3"
        assert [waiting.sent.event.id for waiting in await each.submitted([0], limit=9)] == ["w3", "w1", "w2", "w0"]
    assert await store.ends() == await other.ends()
    assert await store.run("each:a") == await other.run("each:a")
    assert await store.dead_letters() == await other.dead_letters()
    assert await store.values("t", "a", "k") == await other.values("t", "a", "k")
    assert (await store.history("t", "s", now_ms=NOW_MS)).number == (
        await other.history("t", "s", now_ms=NOW_MS)
    ).number
