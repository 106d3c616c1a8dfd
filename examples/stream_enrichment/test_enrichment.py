"""Stream enrichment: what it does with requests, and each trap of the usual tutorial, in memory and virtual time."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import enrichment_app
import pytest
from enrichment_app import (
    AgentResponse,
    EnrichedRequest,
    HashEntry,
    LateRequest,
    LocalAnswers,
    RawRequest,
    SessionActivity,
    app,
)
from enrichment_hashes import broken_links
from enrichment_text import cleaned, language, masked

from penstock import KnowledgeEvent
from penstock.errors import Invalid
from penstock.flink.carrying import require_carried
from penstock.ports.chat_model import ChatEnd, TextDelta, Usage
from penstock.runtime.indexer import NAME as INDEXER
from penstock.testing import WritePoint, apps
from penstock.testing.crashing import NotReached
from penstock.testing.virtual_time import run_virtually

HERE = Path(__file__).parent
STACKS_TOO = os.environ.get("PENSTOCK_STACKS") == "1"
DAY_MS = 86_400_000
NOON_MS = 1_764_072_000_000


class Counting:
    """A model that answers with what it was asked, and counts; it may be slow for one question."""

    def __init__(self, name, clock=None, slow=""):
        self.name, self.clock, self.slow = name, clock, slow
        self.prompts = []

    async def stream(self, request):
        text = request.messages[-1].content
        self.prompts.append(text)
        if self.slow and self.slow in text.partition("Message:")[2]:
            await self.clock().sleep(30)
        yield TextDelta(f"{self.name} says so")
        yield ChatEnd(self.name, "stop", Usage(1, 1))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(enrichment_app, "answers", LocalAnswers())
    monkeypatch.delenv("ENRICHMENT_MODEL", raising=False)


def models(**more):
    return {"answerer-v1": Counting("v1", **more), "answerer-v2": Counting("v2", **more)}


async def ask(live, *said, at_ms=NOON_MS):
    for number, (session, text) in enumerate(said):
        request = RawRequest(session_id=session, message=text, at_ms=at_ms + number * 60_000)
        await live.send(request, id=f"{session}-{at_ms}-{number}")
    await live.settled()
    await live.engine.caught_up(INDEXER)


async def test_a_request_becomes_an_enriched_one_a_context_that_can_be_found_and_an_answer_with_one_origin():
    async with apps.app(app, models=models()) as live:
        await ask(live, ("s1", "  My  mail is Ada@example.org,\u00a0how long can I return a lamp? "))
        (request,) = await live.events(EnrichedRequest)
        assert request.text.startswith("My mail is mail-")
        assert (request.language, request.day) == ("english", "2025-11-25")
        (answer,) = await live.events(AgentResponse)
        assert answer.request_id == request.request_id
        assert answer.sources
        found = await live.knowledge("session_context").search("return a lamp", filter={"session": "s1"})
        assert [each.id for each in found] == [request.request_id]
        store = live.engine.parts.store
        topics = ("raw_requests", "enriched_requests", "agent_responses", "request_hashes", "knowledge-events")
        logs = {topic: await store.read(topic, 0, after=0, limit=10_000) for topic in topics}
        (origin,) = [each.event.id for each in logs["raw_requests"]]
        mine = [each.event for topic in topics[1:] for each in logs[topic] if each.event.id.startswith(origin)]
        assert len(mine) == 4
        assert {each.correlation_id for each in mine} == {origin}


async def test_personal_data_leave_with_the_first_step():
    secrets = ["ada.lovelace@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "555-0147", "Lovelace"]
    text = (
        "My name is Ada Lovelace, ada.lovelace@example.org. Card 4111 1111 1111 1111, "
        "IBAN DE89 3704 0044 0532 0130 00, call (212) 555-0147 about order #W1234567."
    )
    counting = models()
    async with apps.app(app, models=counting) as live:
        await ask(live, ("s1", text))
        seen = [each.model_dump_json() for kind in (EnrichedRequest, AgentResponse) for each in await live.events(kind)]
        indexed = [each.payload for each in await live.events(KnowledgeEvent)]
        everything = " ".join([*seen, *indexed, *counting["answerer-v1"].prompts])
        assert not [each for each in secrets if each in everything]
        assert "#W1234567" in everything, "an order is no person"
    assert masked("a@b.org") == masked("A@B.org") != masked("c@b.org"), "the same person is the same hash"
    assert "[card]" in masked("4111 1111 1111 1111")
    assert "[number]" in masked("4111 1111 1111 1112")
    assert masked("it costs 19.99 for 2 in 2025") == "it costs 19.99 for 2 in 2025"
    assert cleaned("a\x00b\n\n  c") == "a b c"
    assert language("Wie lange kann ich eine Lampe zurückgeben und wer zahlt das?") == "german"


async def test_trap_the_context_is_what_was_said_and_not_the_id_of_a_session():
    counting = models()
    async with apps.app(app, models=counting) as live:
        await ask(live, ("session-one", "My lamp arrived broken"))
        await ask(live, ("session-two", "The lamp came broken"), at_ms=NOON_MS + DAY_MS)
        first, second = await live.events(AgentResponse)
        assert (first.similar, second.similar) == ([], [first.request_id])
        prompt = counting["answerer-v1"].prompts[-1]
        assert "My lamp arrived broken" in prompt
        assert "session-one" not in prompt


def test_trap_one_slow_answer_does_not_hold_up_those_of_other_sessions():
    async def main():
        place = []
        counting = models(clock=lambda: place[0].clock, slow="wait for me")
        async with apps.app(app, models=counting) as live:
            place.append(live)
            began = live.clock.monotonic_s()
            await live.send(RawRequest(session_id="slow", message="please wait for me", at_ms=NOON_MS))
            for number in range(20):
                await live.send(RawRequest(session_id=f"s{number}", message=f"question {number}", at_ms=NOON_MS))
            quick = lambda: live.events(AgentResponse)  # noqa: E731
            await live.engine.until(quick, lambda answers: len(answers) >= 20)
            assert live.clock.monotonic_s() - began < 5
            assert "slow" not in {each.session_id for each in await live.events(AgentResponse)}
            await live.settled()
            assert (await live.events(AgentResponse))[-1].session_id == "slow"

    run_virtually(main())


@pytest.mark.parametrize("point", [WritePoint.AFTER_HANDLING, WritePoint.AFTER_EFFECT, WritePoint.DURING_COMMIT])
def test_trap_nothing_is_lost_or_doubled_when_it_dies_in_the_middle_and_no_step_is_done_again(point):
    async def main():
        questions = [(f"s{number % 3}", f"question number {number}") for number in range(9)]
        for nth in (2, 7):
            disk, counting = apps.Disk(), models()
            async with apps.app(app, disk=disk, models=counting) as live:
                with suppress(NotReached):
                    async with live.crash_at(point, nth):
                        await ask(live, *questions)
            async with apps.app(app, disk=disk, models=counting) as live:
                await ask(live, *questions)
                answers = await live.events(AgentResponse)
                assert len({each.request_id for each in answers}) == len(answers) == 9
                asked = [each.message for each in await live.events(RawRequest)]
                assert sorted(asked) == sorted(text for _, text in questions)
                assert broken_links(await live.events(HashEntry)) == []
                assert len(await live.knowledge("session_context").digests()) == 9
                assert await live.dead_letters() == []

    run_virtually(main())


async def test_the_same_question_in_the_same_context_is_answered_once():
    counting = models()
    async with apps.app(app, models=counting) as live:
        await ask(live, *((f"s{number}", "Where is my order?") for number in range(5)))
        assert len(counting["answerer-v1"].prompts) == 1
        assert [each.cached for each in await live.events(AgentResponse)] == [False, True, True, True, True]
        await ask(live, ("s1", "Where is my order?"), at_ms=NOON_MS + 3_600_000)
        assert len(counting["answerer-v1"].prompts) == 2, "its conversation is another context"


def test_who_asks_the_same_at_the_same_time_waits_for_the_answer_of_the_first():
    async def main():
        place = []
        counting = models(clock=lambda: place[0].clock, slow="Where")
        async with apps.app(app, models=counting) as live:
            place.append(live)
            await ask(live, *((f"s{number}", "Where is my order?") for number in range(8)))
            assert len(counting["answerer-v1"].prompts) == 1

    run_virtually(main())


async def test_a_session_goes_on_with_the_version_that_it_began_with(monkeypatch):
    disk = apps.Disk()
    async with apps.app(app, disk=disk, models=models()) as live:
        await ask(live, ("old", "first"))
    monkeypatch.setenv("ENRICHMENT_MODEL", "answerer-v2")
    async with apps.app(app, disk=disk, models=models()) as live:
        await ask(live, ("old", "second"), ("new", "second"), at_ms=NOON_MS + 3_600_000)
        told = {(each.session_id, each.model, each.text) for each in (await live.events(AgentResponse))[1:]}
    assert told == {("old", "answerer-v1", "v1 says so"), ("new", "answerer-v2", "v2 says so")}


def test_sessions_are_told_apart_by_the_time_of_requests_that_come_out_of_order():
    async def main():
        async with apps.app(app, models=models()) as live:
            minutes = [0, 10, 9, 35, 200, 201, 30, 400]
            for number, minute in enumerate(minutes):
                at_ms = NOON_MS - 86_400_000 + minute * 60_000
                await live.send(RawRequest(session_id="s", message=f"message {number}", at_ms=at_ms))
            await live.settled()
            got = [(each.start_ms - NOON_MS + 86_400_000, each.requests) for each in await live.events(SessionActivity)]
            assert got == [(0, 4), (200 * 60_000, 2)]
            assert len(await live.events(LateRequest)) == 1
            assert len(await live.events(AgentResponse)) == len(minutes), "what is late is answered, too"
            await live.clock.sleep(3600)
            await live.settled()
            assert [each.requests for each in await live.events(SessionActivity)] == [4, 2, 1]

    run_virtually(main())


async def test_the_log_of_hashes_tells_when_a_line_was_changed_removed_or_put_in():
    async with apps.app(app, models=models()) as live:
        await ask(live, *((f"s{number % 2}", f"question {number}") for number in range(8)))
        entries = await live.events(HashEntry)
    assert broken_links(entries) == []
    changed = [*entries[:3], entries[3].model_copy(update={"response_sha256": "0" * 64}), *entries[4:]]
    removed = [*entries[:3], *entries[4:]]
    for wrong in (changed, removed, [*entries, entries[2]]):
        assert broken_links(wrong)


async def test_the_model_that_needs_nothing_quotes_the_handbook():
    async with apps.app(app) as live:
        await ask(live, ("s", "How long can I return a lamp?"))
        (answer,) = await live.events(AgentResponse)
        assert "30 days" in answer.text
        assert answer.sources


async def test_what_is_sent_without_a_time_is_of_today():
    async with apps.app(app, models=models()) as live:
        await live.send(RawRequest.checked(json.loads('{"session_id": "s", "message": "hello"}')))
        await live.send(RawRequest(session_id="s", message=" \x00 "))
        await live.settled()
        (request,) = await live.events(EnrichedRequest)
        assert request.day > "2020"


@pytest.mark.timeout(400)
def test_trap_on_ray_one_slow_answer_does_not_hold_up_those_of_other_sessions():
    if not STACKS_TOO:
        pytest.skip("NOT TESTED ON RAY: it takes half a minute; run `make stacks`")
    from enrichment_on_ray import OTHERS, PORT
    from ray_server import own_ray

    with tempfile.TemporaryDirectory(prefix="pr-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        ray = own_ray(Path(folder), environment={"ANSWERER_V1": f"http://127.0.0.1:{PORT}/v1#slow"})
        try:
            ended = ray.driver(HERE / "enrichment_on_ray.py", ray.direct)
        finally:
            ray.stop()
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert sorted(told["early"]) == sorted(f"s{number}" for number in range(1, OTHERS + 1))
    assert told["last"] == "s0"


def test_trap_a_job_has_the_streams_and_nothing_that_flink_has_removed():
    require_carried(app.declared.of_streams())
    rest = app.declared.beside_streams()
    assert list(rest.agents) == ["executor"]
    with pytest.raises(Invalid, match="--streams"):
        require_carried(app.declared)


@pytest.mark.parametrize("stack", ["embedded", "kafka-flink-ray"])
@pytest.mark.timeout(900)
def test_the_command_shows_that_all_of_it_holds_over_a_kill(stack):
    if stack != "embedded" and not STACKS_TOO:
        pytest.skip("NOT TESTED: it takes some minutes; run `make stacks`")
    command = [sys.executable, str(HERE / "run_enrichment.py"), "--json", "--stack", stack]
    environment = {**os.environ, "PENSTOCK_CORPUS": "/nowhere"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == (9 if stack == "embedded" else 11)


def test_the_command_says_what_is_missing_for_a_stack():
    command = [sys.executable, str(HERE / "run_enrichment.py"), "--stack", "kafka-flink-ray"]
    python = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": python}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "run_enrichment: " in done.stderr
    assert "Traceback" not in done.stderr
