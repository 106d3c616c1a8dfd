"""The memory of agents in the hands of users: inside a handler, where a recall is a step, and outside.

What is recorded of a recall are the candidates, as of any search of a collection: so replays and as-of searches need nothing of
their own, and the same candidates are scored anew by the code that replays. Time is that of the event: it stays what it was.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from penstock.core.knowledge.events import EXPIRES_MS_MAX, KnowledgeEvent
from penstock.core.knowledge.filters import Filter, parse_filter
from penstock.core.knowledge.memories import (
    NAMED,
    RECALLED_MAX,
    SCOPES,
    Recalled,
    RecallWeights,
    Scope,
    Whose,
    candidates_of,
    metadata_of,
    ranked,
    reaching,
    wrong_memory,
    wrong_scope,
    wrong_weights,
)
from penstock.core.knowledge.memory_lists import Memory, newest
from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.tokens import Written
from penstock.errors import Finding, Invalid, LimitReached, Missing
from penstock.runtime.context import Context, required
from penstock.runtime.engine import Engine
from penstock.runtime.found import Search
from penstock.runtime.knowing import Consistency, reached
from penstock.runtime.knowledge import OpenKnowledge, expiry, put_event, search_of
from penstock.runtime.search_options import Moment
from penstock.runtime.summarising import Summary, SummaryOptions, summarised

LISTED_MAX = 1_000
LISTED_FROM_MAX = 100_000
PAGE = 512


class MemoryOptions(TypedDict, total=False):
    """`importance`: from 1, everyday, to 10 (5). `scope`: whom it reaches: its session (the default), its user, its agent, all.

    `session`, `user`, `agent`: another one than the handler's own. `user` is whom it is about: `forget` reaches it by that name.
    `id`: remembering again under it replaces what was. `at_ms`: when it was, if not now. `ttl_s`: how long it is kept.
    `metadata`: more, for filters.
    """

    importance: float
    scope: Scope
    session: str
    user: str
    agent: str
    id: str
    at_ms: int
    ttl_s: float | None
    metadata: Mapping[str, str]


class RecallOptions(TypedDict, total=False):
    """`limit`: how many memories at most (5). `scope`: only what reaches by that one; by default by any.

    `weights`: of this recall. `session`, `user`, `agent`: another one than the handler's own. `filter`: on metadata, as in a
    search. `summarised`: also what a summary stands for. `as_of`: as it was then, as in a search.
    """

    limit: int
    scope: Scope | None
    weights: RecallWeights
    session: str
    user: str
    agent: str
    filter: Filter | Mapping[str, Any] | None
    summarised: bool
    as_of: Moment


class Memories:
    """A memory as handlers use it: `turns = app.memory("turns")`."""

    def __init__(self, name: str, weights: RecallWeights) -> None:
        if findings := wrong_weights(weights):
            raise Invalid(f"the memory {name!r}", tuple(findings))
        self.name = name
        self.weights = weights

    def remember(self, text: str, **options: Unpack[MemoryOptions]) -> str:
        """Have something remembered after this handling is committed, and return its id. See `MemoryOptions`."""
        ctx = required()
        name = options.get("id", "") or f"{ctx.run_id}/{len(ctx.emitted)}"
        event = memory_event(self.name, name, text, whose_of(ctx, options), options, ctx.event.time_ms)
        ctx.emit(event)
        return name

    async def recall(self, query: str, **options: Unpack[RecallOptions]) -> list[Recalled]:
        """Return the memories that count most for a query: a step of the run, in the run's tenant. See `RecallOptions`."""
        ctx = required()
        wanted, weights = recall_of(query, whose_of(ctx, options), options, self.weights)
        found = await ctx.read(f"search:{self.name}", ctx.collection(self.name).search, wanted, ctx.tenant)
        return ranked(found, weights, ctx.event.time_ms, options.get("limit", 5))

    async def summarise(self, **options: Unpack[SummaryOptions]) -> Summary | None:
        """Have a model sum up the older memories of the session, user or agent, and the summary stand for them in recalls.

        None when there is too little that is older. What it finds and asks are steps of the run. See `SummaryOptions`.
        """
        ctx = required()
        return await summarised(ctx, self.name, whose_of(ctx, options), options)

    def forget(self, id: str) -> None:
        """Have one memory removed after this handling is committed."""
        ctx = required()
        ctx.emit(KnowledgeEvent(agent_id=ctx.agent, action="DELETE", collection=self.name, passage_id=id))


class OpenMemories:
    """A memory of a running app, as callers from outside use it: they say whose it is."""

    def __init__(self, memories: Memories, engine: Engine, tenant: str) -> None:
        self._memories = memories
        self._engine = engine
        self._tenant = tenant
        self._knowledge = OpenKnowledge(memories.name, engine, tenant)

    async def remember(
        self, text: str, *, consistency: Consistency = "eventual", **options: Unpack[MemoryOptions]
    ) -> Written:
        """Remember something: "strong" returns when it can be recalled, "eventual" when it is durable."""
        clock = self._engine.services.clock
        name = options.get("id", "") or clock.new_id()
        event = memory_event(self._memories.name, name, text, whose_of(None, options), options, clock.now_ms())
        return await self._knowledge.apply([event], consistency=consistency)

    async def recall(
        self, query: str, *, after: Written | str | None = None, **options: Unpack[RecallOptions]
    ) -> list[Recalled]:
        """Return the memories that count most for a query. `after`: once that write can be found."""
        wanted, weights = recall_of(query, whose_of(None, options), options, self._memories.weights)
        if after is not None:
            await reached(self._engine, after)
        services = self._engine.services
        found = await services.collection(self._memories.name).search(wanted, self._tenant)
        return ranked(found, weights, services.clock.now_ms(), options.get("limit", 5))

    async def forget(self, *ids: str, consistency: Consistency = "strong") -> Written:
        """Have memories removed, by their ids; those that are not there are done with."""
        return await self._knowledge.delete(ids, consistency=consistency)

    async def list(
        self, *, limit: int = 50, scope: Scope | None = None, session: str = "", user: str = "", agent: str = ""
    ) -> Sequence[Memory]:
        """Return the newest memories, for who looks after them: of those named, or of all. What has expired is left out."""
        whose = Whose(session, user, agent)
        if scope is not None and scope not in SCOPES:
            raise Invalid("the list", (Finding("scope", f"is {scope!r}", f"one of {', '.join(SCOPES)}"),))
        if not 1 <= limit <= LISTED_MAX:
            raise LimitReached("the number of memories asked for", limit, LISTED_MAX)
        ids = sorted(await self._knowledge.digests())
        if len(ids) > LISTED_FROM_MAX:
            hint = "recall them, or export the collection"
            raise LimitReached("the number of memories that a list is made from", len(ids), LISTED_FROM_MAX, hint)
        found: dict[str, Passage] = {}
        for start in range(0, len(ids), PAGE):
            found |= await self._knowledge.passages(ids[start : start + PAGE])
        return newest(found.values(), whose, scope, self._engine.services.clock.now_ms(), limit)


def open_memories(declared: Mapping[str, Memories], name: str, engine: Engine, tenant: str) -> OpenMemories:
    """Return a memory of a running app; `Missing` for one that it does not declare."""
    if name not in declared:
        raise Missing(f"the memory {name!r}", f"declare it: app.memory({name!r})")
    return OpenMemories(declared[name], engine, tenant)


def whose_of(ctx: Context | None, options: Mapping[str, Any]) -> Whose:
    """Return who remembers, or is reminded: what the options say, else the run's own session, user and agent."""
    mine = Whose() if ctx is None else Whose(ctx.key, ctx.subject, ctx.agent)
    return Whose(options.get("session", mine.session), options.get("user", mine.user), options.get("agent", mine.agent))


def memory_event(
    collection: str, name: str, text: str, whose: Whose, options: MemoryOptions, now_ms: int
) -> KnowledgeEvent:
    """Return the event that puts a memory; `Invalid` with all findings."""
    scope, importance = options.get("scope", "session"), options.get("importance", 5.0)
    more, at_ms = options.get("metadata", {}), options.get("at_ms", now_ms)
    findings = wrong_memory(text, whose, scope, importance, more)
    if not 0 <= at_ms <= EXPIRES_MS_MAX:
        findings.append(Finding("at_ms", f"is {at_ms!r}", "milliseconds since 1970"))
    if findings:
        raise Invalid("the memory", tuple(findings))
    named = {NAMED: "yes"} if options.get("id") else {}
    passage = Passage(name, text, {**more, **named, **metadata_of(whose, scope, importance, at_ms)})
    expires_ms = expiry(options.get("ttl_s"), None, now_ms)
    return put_event(collection, passage, agent=whose.agent or "api", expires_ms=expires_ms)


def recall_of(query: str, whose: Whose, options: RecallOptions, weights: RecallWeights) -> tuple[Search, RecallWeights]:
    """Return the search for the candidates, and how they are weighed; `LimitReached` and `Invalid` say what is wrong."""
    limit, scope, weights = options.get("limit", 5), options.get("scope"), options.get("weights", weights)
    if not 1 <= limit <= RECALLED_MAX:
        raise LimitReached("the number of memories asked for", limit, RECALLED_MAX)
    if findings := [*wrong_scope(whose, scope), *wrong_weights(weights)]:
        raise Invalid("the recall", tuple(findings))
    given = options.get("filter")
    further = parse_filter(given) if isinstance(given, Mapping) else given
    wanted = reaching(whose, scope, further, summarised=options.get("summarised", False))
    search = search_of(query, {"limit": candidates_of(limit), "filter": wanted, "as_of": options.get("as_of")})
    return search, weights
