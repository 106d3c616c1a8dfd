"""Requests are cleaned, embedded and indexed while they stream in; an agent answers each from what is like it.

    raw_requests -> preprocess -> embed -> index into session_context -> enriched_requests -> executor -> agent_responses

Nothing here says where topics, state and vectors lie, what runs where, or which model answers: settings do. So the same file runs
in one process, and over Kafka, Flink (the streams), Ray (the agent), Milvus and Redis.
"""

import asyncio
import json
import os
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakValueDictionary

from enrichment_text import cleaned, digest, language, masked, tokens
from pydantic import BaseModel, Field

from penstock import App, Context, Embedded, Event, Flow, Pane, Resources, Sessions, Stamped

HERE = Path(__file__).parent
HANDBOOK = Path(os.environ.get("ENRICHMENT_HANDBOOK", HERE.parent / "support_team" / "handbook"))
SESSION_GAP_S = 1800
OUT_OF_ORDER_S = 120
CACHED_MAX = 10_000  # answers
# On Ray: workers of the agent grow with the queue, and go when they have nothing to do.
ANSWERING = Resources(cpus=0.5, workers_max=4, handlings_max=16, idle_s=30)

app = App("stream-enrichment", prompts=HERE / "prompts")
contexts = app.knowledge("session_context", on_change="build")
handbook = app.knowledge("handbook", documents=HANDBOOK, on_change="build")
for version in ("answerer-v1", "answerer-v2"):  # two versions that answer beside each other while one is rolled out
    app.model(version, os.environ.get(version.upper().replace("-", "_"), "offline:extractive"))


class RawRequest(Event, key="session_id", topic="raw_requests"):
    """What a customer writes. `at_ms`: when; 0: when it is received."""

    session_id: str = Field(min_length=1, max_length=200)
    message: str = Field(max_length=20_000)
    at_ms: int = 0


class EnrichedRequest(Event, key="session_id", topic="enriched_requests"):
    """The request without personal data, and what is known of it."""

    session_id: str
    request_id: str
    text: str
    language: str
    tokens: int
    day: str
    request_sha256: str


class AgentResponse(Event, key="session_id", topic="agent_responses"):
    """What was answered: from which passages, beside which requests that were like it, by which version."""

    session_id: str
    request_id: str
    text: str
    sources: list[str]
    similar: list[str]
    model: str
    cached: bool


class HashEntry(Event, key="session_id", topic="request_hashes"):
    """One line of the append-only log of hashes: each names the one before it in its session."""

    session_id: str
    number: int
    request_sha256: str
    response_sha256: str
    before: str
    sha256: str


class SessionActivity(Event, key="session_id", topic="session_activity"):
    """A session of a customer, by the time of its requests: whoever is silent for half an hour begins another one."""

    session_id: str
    start_ms: int
    end_ms: int
    requests: int
    edition: int


class LateRequest(Event, key="session_id", topic="late_requests"):
    """A request that came when its session's window had closed. It is answered all the same."""

    session_id: str
    request_id: str


class Prepared(BaseModel):
    """A request between the steps of the pipeline."""

    session_id: str
    request_id: str
    text: str
    language: str
    tokens: int
    day: str
    request_sha256: str


def happened(request: RawRequest) -> int | None:
    return request.at_ms or None


def prepared(stamped: Stamped[RawRequest]) -> Prepared:
    request = stamped.value
    text = masked(cleaned(request.message))
    whole = digest(json.dumps([request.session_id, request.message, stamped.at_ms]))
    return Prepared(
        session_id=request.session_id,
        request_id=whole[:24],
        text=text,
        language=language(text),
        tokens=len(tokens(text)),
        day=datetime.fromtimestamp(stamped.at_ms / 1000, UTC).date().isoformat(),
        request_sha256=whole,
    )


def has_text(request: Prepared) -> bool:
    return bool(request.text)


def where(request: Embedded[Prepared]) -> dict[str, str]:
    value = request.value
    return {"session": value.session_id, "day": value.day, "language": value.language}


def enriched(request: Embedded[Prepared]) -> EnrichedRequest:
    return EnrichedRequest(**request.value.model_dump())


def activity(pane: Pane[int]) -> SessionActivity:
    return SessionActivity(
        session_id=pane.key, start_ms=pane.start_ms, end_ms=pane.end_ms, requests=pane.value, edition=pane.number
    )


def late(request: Prepared) -> LateRequest:
    return LateRequest(session_id=request.session_id, request_id=request.request_id)


requests = app.stream(RawRequest, name="preprocess").event_time(happened, out_of_order_s=OUT_OF_ORDER_S, idle_s=60)
clean = requests.stamped().map(prepared).filter(has_text)
vectors = clean.embed(
    contexts, "text"
)  # those that are under way at the same time together; texts that come again are kept
vectors.index(contexts, id="request_id", text="text", metadata=where).map(enriched).to(EnrichedRequest)
sessions = clean.window(Sessions(SESSION_GAP_S), lateness_s=600)
sessions.count().map(activity).to(SessionActivity)
sessions.late().map(late).to(LateRequest)


@app.agent(name="executor", timeout_s=60, flow=Flow(concurrency=64), resources=ANSWERING)
async def execute(request: EnrichedRequest, ctx: Context) -> list[AgentResponse | HashEntry]:
    """Answer one request. Each line that asks something is a step: after a crash it is found in the journal."""
    version = await ctx.values.get("model", to=str) or await ctx.read("newest version", newest_version)
    await ctx.values.set("model", version)  # a session goes on with the version that it began with
    # Requests of earlier days: today's are still being indexed, and this session's own are in its history.
    found = await contexts.search(request.text, limit=4, mode="vectors", filter={"day": {"lt": request.day}})
    passages = await handbook.search(request.text, limit=3)
    history = await ctx.session.history(last=6)
    context = [each.text for each in (*passages, *found)] + [each.content for each in history]
    key = digest(json.dumps([version, context, request.text]))
    async with alone(key):  # whoever asks the same at the same time waits for the first one's answer
        text = await ctx.read("cached answer", answers.get, key)
        cached = text is not None
        if text is None:
            reply = await ctx.model(version).ask(
                prompt="answer",
                question=request.text,
                passages=[{"id": each.id, "source": each.source, "text": each.text} for each in passages],
                history=history,
                contexts=[each.text for each in found],
            )
            text = reply.text
            await ctx.read("keep answer", answers.put, key, text)  # the same under the same key: it may happen twice
    await ctx.session.add("user", request.text)
    await ctx.session.add("assistant", text)
    response = AgentResponse(
        session_id=request.session_id,
        request_id=request.request_id,
        text=text,
        sources=[each.source for each in passages],
        similar=[each.id for each in found],
        model=version,
        cached=cached,
    )
    return [response, await logged(request, response, ctx)]


async def logged(request: EnrichedRequest, response: AgentResponse, ctx: Context) -> HashEntry:
    """Return the next line of the session's log of hashes; it is appended in the same commit as the answer."""
    number, before = await ctx.values.get("hashed", (0, ""), to=tuple[int, str])
    answer = digest(response.text)
    own = digest(json.dumps([request.session_id, number + 1, request.request_sha256, answer, before]))
    await ctx.values.set("hashed", (number + 1, own))
    return HashEntry(
        session_id=request.session_id,
        number=number + 1,
        request_sha256=request.request_sha256,
        response_sha256=answer,
        before=before,
        sha256=own,
    )


def newest_version() -> str:
    return os.environ.get("ENRICHMENT_MODEL", "answerer-v1")


_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def alone(key: str) -> asyncio.Lock:
    """The lock of a question in its context; it goes when nobody holds it."""
    return _locks.setdefault(key, asyncio.Lock())


class LocalAnswers:
    """Answers by (context, question), the newest ones, in this process: whatever is lost is asked for again."""

    def __init__(self, answers_max: int = CACHED_MAX) -> None:
        self._answers_max = answers_max
        self._kept: OrderedDict[str, str] = OrderedDict()
        self.hits = self.misses = 0

    async def get(self, key: str) -> str | None:
        text = self._kept.get(key)
        self.hits, self.misses = self.hits + (text is not None), self.misses + (text is None)
        if text is not None:
            self._kept.move_to_end(key)
        return text

    async def put(self, key: str, text: str) -> None:
        self._kept[key] = text
        while len(self._kept) > self._answers_max:
            self._kept.popitem(last=False)


class RedisAnswers:
    """The same in a Redis, for all workers; a Redis that does not answer is no reason not to answer."""

    TTL_S = 3600

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis

        self._redis = Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0)
        self.hits = self.misses = 0

    async def get(self, key: str) -> str | None:
        from redis.exceptions import RedisError

        try:
            found = await self._redis.get(f"answer:{key}")
        except RedisError:
            found = None
        self.hits, self.misses = self.hits + (found is not None), self.misses + (found is None)
        return None if found is None else found.decode()

    async def put(self, key: str, text: str) -> None:
        from contextlib import suppress

        from redis.exceptions import RedisError

        with suppress(RedisError):
            await self._redis.set(f"answer:{key}", text, ex=self.TTL_S)


answers = RedisAnswers(os.environ["ENRICHMENT_REDIS"]) if os.environ.get("ENRICHMENT_REDIS") else LocalAnswers()
