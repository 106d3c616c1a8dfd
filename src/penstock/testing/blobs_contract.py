"""The contract of `BlobStore`, as tests. An adapter inherits them and supplies a store, as for `StateStoreContract`.

A store that keeps blobs keeps the rows that refer to them too: the tests write both, through the layer that takes what is large
out of a commit (`OffloadingStore`), with a limit of a few bytes.
"""

import anyio
import pytest
from msgspec import Raw
from msgspec.msgpack import encode

from penstock.core.agents.journal import StepRecord, encode_chunk
from penstock.core.agents.offload import offload
from penstock.core.agents.unit import JournalChunk, RunChange, SessionDelta, ValueWrite, Writes
from penstock.core.events.blobs import Blob, BlobUse, digest_of, reference_in
from penstock.core.events.envelope import Envelope, Position, Recorded
from penstock.core.sessions.history import SessionMessage, encode_messages
from penstock.core.timing.timers import FIRST, Timer, TimerWrite
from penstock.errors import Fenced, Invalid
from penstock.layers.offloading_store import OffloadingStore
from penstock.ports.blobs import BlobStore
from penstock.ports.state import Claim
from penstock.ports.store import Store
from penstock.testing.commits import LATER_MS, NOW_MS, ReopenedStore, value
from penstock.testing.virtual_time import VirtualClock

LARGE = b'"' + b"large " * 20 + b'"'
OTHER = b'"' + b"other " * 20 + b'"'
BYTES_MIN = 64
WELL_AFTER_MS = 1 << 60
ALL = 100_000
KINDS = ("event", "timer", "result", "step", "step at the end", "value", "session")


class BlobStoreContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    def reopened(self) -> ReopenedStore:
        raise NotImplementedError("supply what opens a second store over what the first one committed")

    @pytest.fixture
    async def claim(self, store: Store) -> Claim:
        return await store.claim("worker")

    @pytest.fixture
    def offloading(self, store: Store) -> OffloadingStore:
        return OffloadingStore(store, VirtualClock(), bytes_min=BYTES_MIN)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_b1_a_large_value_and_its_row_come_with_one_commit(
        self, offloading: OffloadingStore, claim: Claim, reopened: ReopenedStore, kind: str
    ) -> None:
        await offloading.commit(claim, 1, holding(kind, LARGE))
        again = OffloadingStore(await reopened(), VirtualClock(), bytes_min=BYTES_MIN)
        assert await held(again, kind) == LARGE

    async def test_b1_a_commit_that_is_fenced_writes_no_blob(self, offloading: OffloadingStore, claim: Claim) -> None:
        await offloading.claim("another")
        with pytest.raises(Fenced):
            await offloading.commit(claim, 1, holding("event", LARGE))
        assert not await offloading.blobs([digest_of(LARGE)])

    async def test_b1_a_commit_that_contradicts_the_store_writes_no_blob(
        self, offloading: OffloadingStore, claim: Claim
    ) -> None:
        await offloading.commit(claim, 1, holding("event", LARGE))
        with pytest.raises(Fenced):
            await offloading.commit(claim, 2, holding("event", OTHER))
        assert not await offloading.blobs([digest_of(OTHER)])

    @pytest.mark.parametrize("kind", KINDS)
    async def test_b2_the_store_itself_holds_a_small_reference(
        self, store: Store, offloading: OffloadingStore, claim: Claim, kind: str
    ) -> None:
        writes = holding(kind, LARGE)
        await offloading.commit(claim, 1, writes)
        assert [blob.digest for blob in writes.blobs] == [use.digest for use in writes.blob_uses]
        digests = [blob.digest for blob in writes.blobs]
        found = await store.blobs(digests)
        assert dict(found) == {blob.digest: blob.body for blob in writes.blobs}
        assert LARGE[1:-1] in found[digests[0]]

    async def test_b2_an_unknown_digest_is_left_out(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, bringing(b"a", b"b"))
        digests = [digest_of(b"a"), digest_of(b"c"), digest_of(b"b"), digest_of(b"a")]
        assert dict(await store.blobs(digests)) == {digest_of(b"a"): b"a", digest_of(b"b"): b"b"}
        assert not await store.blobs([])

    async def test_b2_any_bytes_come_back(self, store: Store, claim: Claim) -> None:
        bodies = [b"", b"\x00", bytes(range(256)) * 9, b"\xff" * 300_000]
        await store.commit(claim, 1, bringing(*bodies))
        found = await store.blobs([digest_of(body) for body in bodies])
        assert [found[digest_of(body)] for body in bodies] == bodies

    async def test_b3_the_same_content_is_there_once(self, offloading: OffloadingStore, claim: Claim) -> None:
        first = holding("event", LARGE)
        await offloading.commit(claim, 1, first)
        await offloading.commit(claim, 2, holding("value", LARGE))
        both = holding("result", LARGE)
        both.runs.append(RunChange("e:b", "b", "t", "k", "succeeded", 1, NOW_MS, result=LARGE))
        await offloading.commit(claim, 3, both)
        assert len(both.blobs) == 1
        swept = await offloading.sweep_blobs(before_ms=WELL_AFTER_MS, after=b"", limit=1)
        assert swept.after == b"" or not (await offloading.sweep_blobs(before_ms=0, after=swept.after, limit=1)).after

    @pytest.mark.parametrize("kind", KINDS)
    async def test_b4_a_sweep_leaves_what_a_row_holds(
        self, offloading: OffloadingStore, claim: Claim, kind: str
    ) -> None:
        await offloading.commit(claim, 1, holding(kind, LARGE))
        assert (await offloading.sweep_blobs(before_ms=WELL_AFTER_MS, after=b"", limit=ALL)).removed == 0
        assert await held(offloading, kind) == LARGE

    async def test_b4_one_of_many_users_is_enough(self, offloading: OffloadingStore, claim: Claim) -> None:
        await offloading.commit(claim, 1, holding("value", LARGE))
        await offloading.commit(claim, 2, holding("result", LARGE))
        await offloading.commit(claim, 3, Writes(values=[value("x", None)]))
        for _ in range(2):
            assert (await offloading.sweep_blobs(before_ms=WELL_AFTER_MS, after=b"", limit=ALL)).removed == 0
        assert await held(offloading, "result") == LARGE

    async def test_b4_what_was_used_lately_stays_for_those_who_read_it(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, bringing(b"a"))
        assert (await store.sweep_blobs(before_ms=NOW_MS, after=b"", limit=ALL)).removed == 0
        assert (await store.sweep_blobs(before_ms=NOW_MS + 1, after=b"", limit=ALL)).removed == 1

    async def test_b4_a_commit_beside_a_sweep_finds_its_blob(self, offloading: OffloadingStore, claim: Claim) -> None:
        for number in range(1, 21, 2):
            await offloading.commit(claim, number, Writes(values=[value("x", LARGE)]))
            await offloading.commit(claim, number + 1, Writes(values=[value("x", None)]))
            async with anyio.create_task_group() as group:
                group.start_soon(sweep_all, offloading)
                group.start_soon(offloading.commit, claim, number + 2, Writes(values=[value("y", LARGE)]))
            assert (await offloading.values("t", "a", "k"))["y"] == LARGE
            await offloading.commit(claim, number + 3, Writes(values=[value("y", None)]))
            claim = await offloading.claim("worker")

    async def test_b5_what_nobody_holds_any_more_goes(self, offloading: OffloadingStore, claim: Claim) -> None:
        await offloading.commit(claim, 1, holding("value", LARGE))
        await offloading.commit(claim, 2, Writes(values=[value("x", OTHER)]))
        swept = await offloading.sweep_blobs(before_ms=WELL_AFTER_MS, after=b"", limit=ALL)
        assert (swept.removed, swept.freed_bytes, swept.after) == (1, len(LARGE), b"")
        assert list(await offloading.blobs([digest_of(LARGE), digest_of(OTHER)])) == [digest_of(OTHER)]
        assert await held(offloading, "value") == OTHER

    async def test_b5_a_blob_that_went_comes_back_with_the_next_commit(
        self, offloading: OffloadingStore, claim: Claim
    ) -> None:
        await offloading.commit(claim, 1, holding("value", LARGE))
        await offloading.commit(claim, 2, Writes(values=[value("x", None)]))
        await sweep_all(offloading)
        assert not await offloading.blobs([digest_of(LARGE)])
        await offloading.commit(claim, 3, holding("value", LARGE))
        await sweep_all(offloading)
        assert await held(offloading, "value") == LARGE

    async def test_b6_a_sweep_goes_on_where_it_stopped(self, store: Store, claim: Claim) -> None:
        bodies = [str(number).encode() for number in range(10)]
        await store.commit(claim, 1, bringing(*bodies))
        after, parts = b"", list[int]()
        while True:
            swept = await store.sweep_blobs(before_ms=WELL_AFTER_MS, after=after, limit=3)
            parts.append(swept.removed)
            if not swept.after:
                break
            after = swept.after
        assert parts == [3, 3, 3, 1]
        assert not await store.blobs([digest_of(body) for body in bodies])

    @pytest.mark.parametrize("damage", ["is missing", "is damaged"])
    @pytest.mark.parametrize("kind", ["result", "step", "step at the end"])
    async def test_b2_what_is_lost_is_an_error_that_names_the_run(
        self, offloading: OffloadingStore, store: Store, claim: Claim, kind: str, damage: str
    ) -> None:
        writes = holding(kind, LARGE)
        offload(writes, NOW_MS, BYTES_MIN)
        writes.blobs = [Blob(each.digest, each.body[:-1]) for each in writes.blobs if damage == "is damaged"]
        await store.commit(claim, 1, writes)
        with pytest.raises(Invalid, match=rf"what is stored of the run e:a(.|\n)*{damage}"):
            await offloading.run("e:a")

    async def test_b2_an_event_whose_data_is_lost_does_not_hide_the_others(
        self, offloading: OffloadingStore, store: Store, claim: Claim
    ) -> None:
        writes = holding("event", LARGE)
        event = Envelope("f", "/contract", "Made.v1", "k", NOW_MS, OTHER, "t", correlation_id="f")
        writes.events.append(Recorded(Position("t", 0, 2), event))
        offload(writes, NOW_MS, BYTES_MIN)
        del writes.blobs[0]
        await store.commit(claim, 1, writes)
        lost, whole = await offloading.read("t", 0, after=0, limit=ALL)
        assert (reference_in(lost.event.data), whole.event) == ((digest_of(LARGE), len(LARGE)), event)


def holding(kind: str, body: bytes) -> Writes:  # noqa: PLR0911 - one for each kind
    """Return a commit with one large value."""
    record = encode_chunk([StepRecord("s#0", Raw(encode("small")), NOW_MS), StepRecord("s#1", step_of(body), NOW_MS)])
    run = RunChange("e:a", "a", "t", "k", "succeeded", 1, NOW_MS)
    match kind:
        case "event":
            event = Envelope("e", "/contract", "Made.v1", "k", NOW_MS, body, "t", correlation_id="e")
            return Writes(events=[Recorded(Position("t", 0, 1), event)])
        case "timer":
            event = Envelope("e", "/contract", "Made.v1", "k", NOW_MS, body, "t", correlation_id="e")
            return Writes(timers=[TimerWrite("due", Timer("due", 0, "wall", NOW_MS, NOW_MS, "t", event))])
        case "result":
            run.result = body
            return Writes(runs=[run])
        case "step":
            return Writes(runs=[run], journal=[JournalChunk("e:a", 0, record)])
        case "step at the end":
            run.records = record
            return Writes(runs=[run])
        case "value":
            return Writes(values=[value("x", body), ValueWrite("t", "a", "k", "small", b"1")])
        case _:
            messages = encode_messages([SessionMessage("user", body.decode(), NOW_MS)])
            return Writes(sessions=[SessionDelta("t", "s", 0, 1, messages, LATER_MS)])


def step_of(body: bytes) -> Raw:
    return Raw(encode(body))


async def held(store: OffloadingStore, kind: str) -> bytes:
    """Return the value that `holding` wrote, as the store gives it back, from wherever it can be asked for."""
    match kind:
        case "event":
            recorded = await store.event("e")
            assert recorded is not None
            page = await store.read("t", 0, after=0, limit=ALL)
            assert [recorded] == list(page) == list(await store.origin("e"))
            return recorded.event.data
        case "timer":
            timer = await store.timer("due")
            assert timer is not None
            assert [timer] == list(await store.timers_due("wall", after=FIRST, limit=ALL)) == list(await store.timers())
            return timer.event.data
        case "value":
            values = await store.values("t", "a", "k")
            assert values.get("small") == b"1" or "small" not in values
            return values["x"]
        case "session":
            return (await store.history("t", "s", now_ms=NOW_MS)).messages[0].content.encode()
        case _:
            run = await store.run("e:a")
            assert run is not None
            if kind == "result":
                return run.change.result
            assert [each.step for each in run.records] == ["s#0", "s#1"]
            assert bytes(run.records[1].value).endswith(LARGE)
            return LARGE


def bringing(*bodies: bytes) -> Writes:
    """Return a commit that brings blobs, with users who hold nothing."""
    blobs = [Blob(digest_of(body), body) for body in bodies]
    return Writes(blobs=blobs, blob_uses=[BlobUse(each.digest, ("event", "nobody"), NOW_MS) for each in blobs])


async def sweep_all(store: BlobStore) -> None:
    after = b""
    while True:
        swept = await store.sweep_blobs(before_ms=WELL_AFTER_MS, after=after, limit=2)
        after = swept.after
        if not after:
            return
