"""Knowledge in the hands of users: inside a handler, where a search is a step, and outside."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

import msgspec
from msgspec import structs

from penstock.core.events.tenant import require_tenant
from penstock.core.knowledge.as_of import as_of as as_of_
from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.documents import titled
from penstock.core.knowledge.events import KnowledgeEvent, collection_of, require_right
from penstock.core.knowledge.filters import parse_filter
from penstock.core.knowledge.judging import Judged
from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.tokens import Written
from penstock.core.knowledge.use_judgements import judged_by_use
from penstock.core.knowledge.uses import Verdict
from penstock.errors import Finding, Invalid, LimitReached, Missing, Refused
from penstock.runtime.collection import LIMIT_MAX, Found, Search
from penstock.runtime.context import required
from penstock.runtime.engine import Engine
from penstock.runtime.files import Files
from penstock.runtime.indexing import IndexingStatus
from penstock.runtime.knowing import Consistency, lag, reached, refresh, write
from penstock.runtime.open_generations import OpenGenerations
from penstock.runtime.search_options import WITHIN_S, SearchOptions, place_of, wrong_options
from penstock.runtime.uses import used_event

QUERY_CHARS_MAX = 10_000
TTL_S_MAX = 100 * 365 * 86_400.0
QUERIES_MAX = 1_000
READ_AT_ONCE = 512


class Knowledge:
    """A collection as handlers use it: `handbook = app.knowledge("handbook")`."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def search(self, text: str, **options: Unpack[SearchOptions]) -> list[Found]:
        """Return the passages nearest to a text, best first: a step of the run, in the run's tenant. See `SearchOptions`."""
        ctx = required()
        wanted = search_of(text, options)
        return await ctx.read(f"search:{self.name}", ctx.collection(self.name).search, wanted, ctx.tenant)

    def put(
        self, passage: Passage | Document, *, ttl_s: float | None = None, expires_at: datetime | None = None
    ) -> None:
        """Have a passage, or a document, indexed, new or changed, after this handling is committed."""
        ctx = required()
        expires_ms = expiry(ttl_s, expires_at, ctx.now_ms())
        event = put_event(self.name, passage, agent=ctx.agent, expires_ms=expires_ms)
        require_right([event])
        ctx.emit(event)

    def used(
        self, query: str, used: Sequence[Found], *, verdict: Verdict = "used", shown: Sequence[Found] = ()
    ) -> None:
        """Say, after this handling is committed, that an answer to a query used passages: what `boost` and evaluation use."""
        ctx = required()
        said = {"verdict": verdict, "shown": [each.id for each in shown], "agent_id": ctx.agent}
        ctx.emit(used_event(self.name, query, [each.id for each in used], said))

    def delete(self, passage_id: str = "", *, document: str = "") -> None:
        """Have a passage, or a whole document, removed after this handling is committed."""
        required().emit(delete_event(self.name, passage_id, agent=required().agent, document=document))


class PutOptions(TypedDict, total=False):
    """As those of `OpenKnowledge.put`."""

    agent: str
    consistency: Consistency
    ttl_s: float | None
    expires_at: datetime | None


class OpenKnowledge:
    """A collection of a running app, as callers from outside use it."""

    def __init__(self, name: str, engine: Engine, tenant: str) -> None:
        self._collection = engine.services.collection(name)
        self._engine = engine
        self._tenant = require_tenant(tenant)

    async def search(
        self, text: str, *, after: Written | str | None = None, **options: Unpack[SearchOptions]
    ) -> list[Found]:
        """Return the passages nearest to a text, best first: see `SearchOptions`. `after`: once that write can be found."""
        wanted = search_of(text, options)
        if after is not None:
            await reached(self._engine, after)
        return await self._collection.search(wanted, self._tenant)

    async def search_many(
        self, texts: Sequence[str], *, after: Written | str | None = None, **options: Unpack[SearchOptions]
    ) -> list[list[Found]]:
        """Return what is found for each of several texts, together: one product of matrices for all of them."""
        if len(texts) > QUERIES_MAX:
            raise LimitReached("the number of queries at once", len(texts), QUERIES_MAX)
        wanted = [search_of(text, options) for text in texts]
        if after is not None:
            await reached(self._engine, after)
        return list(await asyncio.gather(*(self._collection.search(each, self._tenant) for each in wanted)))

    async def put(
        self,
        passages: Sequence[Passage | Document] | Passage | Document,
        *,
        agent: str = "api",
        consistency: Consistency = "eventual",
        ttl_s: float | None = None,
        expires_at: datetime | None = None,
    ) -> Written:
        """Put passages, as they are, or documents, which are cut into passages: an event for each.

        `consistency`: "strong" returns when all of it can be found, "eventual" when it is durable, "bulk" when it is accepted:
        `refresh` then waits for all. `ttl_s`, `expires_at`: when it is not found any more. What is returned goes to
        `search(after=...)`.
        """
        many = [passages] if isinstance(passages, Passage | Document) else passages
        expires_ms = expiry(ttl_s, expires_at, self._engine.services.clock.now_ms())
        events = [put_event(self._collection.name, each, agent=agent, expires_ms=expires_ms) for each in many]
        return await write(self._engine, events, self._tenant, consistency)

    async def put_file(self, name: str, body: bytes, **how: Unpack[PutOptions]) -> Written:
        """Put what a file says, as the document of that name: .md, .txt, .rst, .html, .pdf, .docx, docstrings of .py.

        `Refused` when it cannot be read, and `Missing` for want of a package that reads it; else as `put`.
        """
        return await self.put(await self._files.document(name, body), **how)

    async def put_objects(self, references: Sequence[str], **how: Unpack[PutOptions]) -> Written:
        """Put what files say that lie where the setting `objects` says, each as the document `s3://BUCKET/KEY`.

        `Invalid` with all that cannot be read, and nothing is put.
        """
        return await self.put(await self._files.all_referred(references), **how)

    async def apply(self, events: Sequence[KnowledgeEvent], *, consistency: Consistency = "eventual") -> Written:
        """Append knowledge events as they come; the same `event_id` twice is one event."""
        mine = [each.model_copy(update={"collection": collection_of(each) or self._collection.name}) for each in events]
        return await write(self._engine, mine, self._tenant, consistency)

    async def delete(
        self,
        passage_ids: Sequence[str] = (),
        *,
        documents: Sequence[str] = (),
        agent: str = "api",
        consistency: Consistency = "eventual",
    ) -> Written:
        """Remove passages, and documents with all their passages: those with exactly these ids, of this tenant."""
        name = self._collection.name
        events = [delete_event(name, each, agent=agent) for each in passage_ids]
        events += [delete_event(name, "", agent=agent, document=each) for each in documents]
        return await write(self._engine, events, self._tenant, consistency)

    async def used(
        self,
        query: str,
        used: Sequence[str],
        *,
        verdict: Verdict = "used",
        shown: Sequence[str] = (),
        agent: str = "api",
        id: str | None = None,
    ) -> str:
        """Say that an answer to a query used passages, by their ids; return the event's id once it is durable."""
        said = {"verdict": verdict, "shown": list(shown), "agent_id": agent}
        event = used_event(self._collection.name, query, used, said)
        return await self._engine.send(event, id=id, tenant=self._tenant)

    async def judged_by_use(self, *, queries_max: int = QUERIES_MAX) -> Judged:
        """Return the last queries of which somebody said what was used, and judgements of the passages that are still there."""
        uses = self._collection.rearranging.uses
        judged = judged_by_use([] if uses is None else await uses.events(self._tenant), queries_max=queries_max)
        known = await self.passages(list({each for grades in judged.relevant.values() for each in grades}))
        left = {
            query: {each: grade for each, grade in of.items() if each in known} for query, of in judged.relevant.items()
        }
        return structs.replace(judged, relevant=left)

    async def refresh(self) -> None:
        """Wait until all that was accepted so far, of "bulk" writes too, can be found."""
        await refresh(self._engine)

    def indexing(self) -> IndexingStatus:
        """Return how far behind the indexer is, and what it did since the start."""
        done, now_s = self._collection.indexing, self._engine.services.clock.now_ms() / 1000
        embedder = self._collection.embedder
        return IndexingStatus(
            lag(self._engine),
            done.events,
            done.embedded,
            done.kept,
            done.deleted,
            done.passages_per_s(now_s),
            getattr(embedder, "hits", 0),
            getattr(embedder, "misses", 0),
            done.by_words,
            self.vectors_down,
            self._collection.times.count,
            self._collection.times.quantile_ms(0.5),
            self._collection.times.quantile_ms(0.99),
        )

    @property
    def _files(self) -> Files:
        if self._engine.parts.files is None:
            raise Refused("this app reads no files", "run it with settings")
        return self._engine.parts.files

    @property
    def vectors_down(self) -> str:
        """Why searches go by words alone at present, because vectors that lie elsewhere do not answer; empty while they do."""
        return getattr(self._collection.index.vectors, "down", "")

    async def digests(self) -> Mapping[str, str]:
        """Return id -> digest of all that is indexed."""
        return await self._collection.digests(self._tenant)

    async def passages(self, ids: Sequence[str]) -> Mapping[str, Passage]:
        """Return the passages that are indexed among `ids`."""
        return await self._collection.passages(ids, self._tenant)

    async def document(self, document: str) -> list[Passage]:
        """Return the passages of a document, by their ids; `Missing` when nothing of it is indexed."""
        parts = await self._collection.parts(document, self._tenant)
        found = await self.passages(sorted(parts))
        if not found:
            raise Missing(f"a document {document!r} in {self._collection.name!r}", "see `penstock knowledge export -`")
        return [found[each] for each in sorted(found)]

    async def everything(self) -> AsyncGenerator[Passage]:
        """Yield all passages that are indexed, in the order of their ids; those that go meanwhile are left out."""
        ids = sorted(await self.digests())
        for start in range(0, len(ids), READ_AT_ONCE):
            part = ids[start : start + READ_AT_ONCE]
            found = await self.passages(part)
            for each in part:
                if each in found:
                    yield found[each]

    def model_of(self, generation: int) -> str:
        """Return which model, and which version of it, made the vectors of a generation; `Missing` when there is none."""
        return self._collection.generations.catalogue.find(generation).model

    @property
    def is_known(self) -> bool:
        """Whether anything was ever put into the collection, or it was created."""
        return self._collection.generations.stored

    @property
    def generations(self) -> OpenGenerations:
        """The builds of this collection, which are those of all tenants."""
        return OpenGenerations(self._collection.name, self._engine)

    async def indexed(self) -> None:
        """Wait until everything appended so far can be found (read-your-writes)."""
        await refresh(self._engine)


async def exported(knowledge: OpenKnowledge) -> AsyncGenerator[bytes]:
    """Yield all passages of a collection as lines of JSON, in the order of their ids."""
    async for each in knowledge.everything():
        yield msgspec.json.encode({"id": each.id, "text": each.text, "metadata": each.metadata}) + b"\n"


def search_of(text: str, options: SearchOptions) -> Search:
    """Return a search; `LimitReached` and `Invalid` say what is wrong with it."""
    limit, given = options.get("limit", 5), options.get("filter")
    if not 1 <= limit <= LIMIT_MAX:
        raise LimitReached("the number of passages asked for", limit, LIMIT_MAX)
    if findings := wrong_options(options):
        raise Invalid("the search", tuple(findings))
    if len(text) > QUERY_CHARS_MAX:
        raise LimitReached("the length of the query, in characters,", len(text), QUERY_CHARS_MAX)
    after = options.get("page_after")
    return Search(
        text,
        limit,
        options.get("mode", "hybrid"),
        parse_filter(given) if isinstance(given, Mapping) else given,
        options.get("generation"),
        as_of_(options.get("as_of")),
        options.get("fusion", "scores"),
        options.get("diversity", 0.0),
        options.get("score_min"),
        place_of(after) if after else None,
        options.get("highlight", False),
        options.get("refine", True),
        options.get("boost", 0.0),
        options.get("rerank"),
        options.get("rerank_within_s", WITHIN_S),
    )


def put_event(collection: str, what: Passage | Document, *, agent: str, expires_ms: int = 0) -> KnowledgeEvent:
    """Return the event that puts something; `Invalid` with all findings when it is none, or has other metadata than texts."""
    values: dict[str, Any] = {"agent_id": agent, "action": "UPDATE", "collection": collection, "expires_ms": expires_ms}
    match what:
        case Passage():
            values |= {"passage_id": what.id, "payload": what.text, "metadata": what.metadata}
        case Document():
            values |= {"document_id": what.id, "payload": what.text, "metadata": titled(what).metadata}
        case _:  # pyright: ignore[reportUnnecessaryComparison] - users without a type checker
            hint = 'give Passage("id", "text", {"source": "where it is from"}), or Document("id", "title", "text")'
            raise Invalid("the passage", (Finding("(whole)", f"is a {type(what).__name__}", hint),))
    if not (values.get("passage_id") or values.get("document_id")):
        raise Invalid("the passage", (Finding("id", "is empty", "give it an id"),))
    return KnowledgeEvent.checked(values)


def delete_event(collection: str, passage_id: str, *, agent: str, document: str = "") -> KnowledgeEvent:
    """Return the event that removes a passage, or a document."""
    if bool(passage_id) == bool(document):
        raise Invalid("the removal", (Finding("id", "is not one", "name a passage, or a document"),))
    return KnowledgeEvent.checked(
        {
            "agent_id": agent,
            "action": "DELETE",
            "collection": collection,
            "passage_id": passage_id,
            "document_id": document,
        }
    )


def expiry(ttl_s: float | None, expires_at: datetime | None, now_ms: int) -> int:
    """Return from when something is not found any more, in ms since 1970; 0: never. `Invalid` for what is no time to come."""
    if ttl_s is None and expires_at is None:
        return 0
    problem = ""
    if ttl_s is not None and expires_at is not None:
        problem = "is given twice"
    elif ttl_s is not None and not 0 < ttl_s < TTL_S_MAX:
        problem = f"is {ttl_s!r}"
    elif expires_at is not None and expires_at.tzinfo is None:
        problem = "has no time zone"
    if problem:
        hint = "give ttl_s, a number of seconds, or expires_at, a datetime with a time zone"
        raise Invalid("the write", (Finding("ttl_s" if ttl_s is not None else "expires_at", problem, hint),))
    return max(1, round(expires_at.timestamp() * 1000)) if expires_at else now_ms + round((ttl_s or 0) * 1000)
