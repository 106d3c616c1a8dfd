"""The contract of `Erasable`, as tests. An adapter inherits them and supplies a store, as for `StateStoreContract`."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from penstock.core.agents.exposing import OF_RUNS
from penstock.core.agents.journal import encode_chunk
from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.unit import DeadLetter, ProgressWrite, RunChange, Sent, SessionDelta, ValueWrite, Writes
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import FORGOTTEN
from penstock.core.sessions.history import SessionMessage, encode_messages
from penstock.ports.rows import KINDS
from penstock.ports.state import Claim, RunFilter
from penstock.ports.store import Store
from penstock.testing.commits import NOW_MS, change, chunk, found, record, recorded

TRACE = "what only Anna said"
ME, OTHER, TENANT = "pseudonym of me", "pseudonym of another", "t\\1"


def said(event_id: str, offset: int, text: str = TRACE) -> Recorded:
    """Return an event with its place."""
    plain = recorded(event_id, offset=offset)
    event = replace(plain.event, data=f'{{"text":"{text}"}}'.encode(), key=text, tenant=TENANT, subject=ME)
    return Recorded(plain.position, event)


def run_of(event_id: str, text: str = TRACE) -> RunChange:
    """Return a run that has ended."""
    body = encode_chunk([record(text)])
    return replace(
        change(f"{event_id}:a"), tenant=TENANT, key=text, result=f'"{text}"'.encode(), reason=text, records=body
    )


def everything(event_id: str, offset: int, text: str = TRACE) -> Writes:
    """Return an event with all that may belong to it."""
    run, event = f"{event_id}:a", said(event_id, offset, text)
    return Writes(
        events=[event],
        runs=[run_of(event_id, text), replace(run_of(event_id, text), run_id=f"{event_id}+2:b")],
        journal=[chunk(run, 0, text)],
        streams=[StreamChunk(run, 0, TENANT, "", 0, 1, text.encode())],
        values=[ValueWrite(TENANT, owner, run, "n", text.encode()) for owner in OF_RUNS],
        dead=[DeadLetter(f"{event_id}:dead", "dead", event, text, 3, NOW_MS)],
        progress=[ProgressWrite("a", "t", 0, offset, [])],
    )


def message(subject: str, number: int, session: str = "s", text: str = TRACE) -> SessionDelta:
    """Return a message of a session that is about a subject."""
    body = encode_messages([SessionMessage("user", text, NOW_MS)])
    return SessionDelta(TENANT, session, number, 1, body, NOW_MS + 10**9, subject)


def value(subject: str, name: str, text: str = TRACE, key: str = "k") -> ValueWrite:
    return ValueWrite(TENANT, "a", key, name, text.encode(), NOW_MS, subject)


async def all_rows(store: Store) -> dict[str, Sequence[object]]:
    """Return all that is stored."""
    return {kind: getattr((await store.rows(kind, after=b"", limit=10_000)).rows, kind) for kind in KINDS}


class ErasableContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("supply the store under test")

    @pytest.fixture
    async def claim(self, store: Store) -> Claim:
        return await store.claim("worker")

    async def test_h1_the_secret_is_what_was_offered_first(self, store: Store) -> None:
        assert await store.secret(b"") == b""
        assert await store.secret(b"one") == b"one"
        assert await store.secret(b"") == b"one"
        assert await store.secret(b"two") == b"one"

    async def test_h2_an_event_keeps_its_place_and_loses_all_that_was_said(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, everything("e1", 1))
        erased = await store.erase_events(["e1", "unknown"])
        counts = {"events": 1, "runs": 2, "journals": 1, "streams": 1, "values": 2, "dead letters": 1}
        assert erased.counts == counts
        [gone] = await store.read("t", 0, after=0, limit=9)
        plain = said("e1", 1)
        assert gone == Recorded(plain.position, replace(plain.event, key="", data=FORGOTTEN, traceparent=""))
        assert await store.event("e1") == gone
        run = await found(store, "e1:a")
        assert (run.change.status, run.change.at_ms, run.records) == ("succeeded", NOW_MS, [])
        assert (run.change.key, run.change.result, run.change.reason) == ("", b"", "its subject was forgotten")
        assert await store.dead_letters() == []
        assert await store.pieces(TENANT, "e1:a", "", from_offset=0, limit=9) == []
        assert TRACE not in repr(await all_rows(store))

    async def test_h2_a_run_that_has_not_ended_is_cancelled(self, store: Store, claim: Claim) -> None:
        run = replace(run_of("e1"), status="running")
        await store.commit(claim, 1, Writes(events=[said("e1", 1)], runs=[run]))
        await store.erase_events(["e1"])
        assert [each.status for each in await store.runs(RunFilter())] == ["cancelled"]

    async def test_h2_an_event_that_waits_for_its_place_goes(self, store: Store, claim: Claim) -> None:
        await store.commit(claim, 1, Writes(sent=[Sent("t", 0, said(each, 1).event) for each in ("e1", "e2")]))
        assert (await store.erase_events(["e1"])).counts == {"waiting events": 1}
        assert await store.event("e1") is None
        assert await store.event("e2") is not None

    async def test_h3_messages_and_values_of_a_subject_go(self, store: Store, claim: Claim) -> None:
        messages = [message(ME, 0), message(OTHER, 1, text="other"), message(ME, 2), message("", 3, text="nobody's")]
        values = [value(ME, "mine"), value(OTHER, "theirs"), value("", "nobody's"), value(ME, "mine again")]
        await store.commit(claim, 1, Writes(sessions=messages, values=values))
        await store.commit(claim, 2, Writes(values=[value(ME, "mine again", "anew")]))
        assert (await store.erase_state(TENANT, ME)).counts == {"messages": 2, "values": 2}
        history = await store.history(TENANT, "s", now_ms=NOW_MS)
        assert ([each.content for each in history.messages], history.number) == (["other", "nobody's"], 4)
        assert (await store.values(TENANT, "a", "k")).keys() == {"theirs", "nobody's"}

    async def test_h3_what_was_written_for_several_is_left_and_counted(self, store: Store, claim: Claim) -> None:
        writes = [value(ME, "both"), value(OTHER, "both"), value("", "late"), value(ME, "late")]
        for number, write in enumerate(writes, 1):
            await store.commit(claim, number, Writes(values=[write]))
        assert (await store.erase_state(TENANT, ME)).counts == {"shared": 2}
        await store.commit(claim, 5, Writes(values=[replace(value("", "both"), body=None)]))
        await store.commit(claim, 6, Writes(values=[value(ME, "both")]))  # a new one
        assert (await store.erase_state(TENANT, ME)).counts == {"values": 1, "shared": 1}

    async def test_h4_nothing_else_is_changed(self, store: Store, claim: Claim) -> None:
        ids = ["e1", "e1.5", "e10", "e", "E1", "e1;", "é1"]
        for number, each in enumerate(ids, 1):
            text = TRACE if each == "e1" else f"what {each} said"
            await store.commit(claim, number, everything(each, number, text))
        state = Writes(sessions=[message(OTHER, 0)], values=[value(OTHER, "n"), replace(value(ME, "n"), tenant="u")])
        await store.commit(claim, len(ids) + 1, state)
        before = await all_rows(store)
        await store.erase_events(["e1"])
        await store.erase_state(TENANT, ME)
        after = await all_rows(store)
        for kind in KINDS:
            others = [each for each in before[kind] if TRACE not in repr(each) or kind in ("sessions", "values")]
            others = [each for each in others if "'e1:a'" not in repr(each)]
            assert [each for each in others if each not in after[kind]] == [], kind
        assert await store.progress() != {}

    async def test_h5_again_changes_and_counts_nothing(self, store: Store, claim: Claim) -> None:
        writes = everything("e1", 1)
        writes.sessions, writes.values = [message(ME, 0)], [*writes.values, value(ME, "n")]
        await store.commit(claim, 1, writes)
        await store.erase_events(["e1"])
        await store.erase_state(TENANT, ME)
        once = await all_rows(store)
        assert (await store.erase_events(["e1"])).counts == {}
        assert (await store.erase_state(TENANT, ME)).counts == {}
        assert await all_rows(store) == once

    async def test_h6_nothing_of_it_is_left_in_the_files(self, store: Store, claim: Claim) -> None:
        for number in range(1, 30):
            writes = everything(f"e{number}", number, TRACE * 40 if number % 3 else "left where it is")
            writes.sessions, writes.values = [message(ME, 0, f"s{number}")], [value(ME, f"n{number}", TRACE * 99)]
            await store.commit(claim, number, writes)
        await store.erase_events([f"e{number}" for number in range(1, 30) if number % 3])
        await store.erase_state(TENANT, ME)
        places = await store.compact()
        files = [path for each in map(Path, places) for path in ([each] if each.is_file() else each.rglob("*"))]
        for path in files:
            body = path.read_bytes()
            assert TRACE.encode() not in body, path
        assert not files or any(b"left where it is" in path.read_bytes() for path in files)
