"""Knowledge in the hands of users: inside a handler, where a search is a step, and outside."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from penstock.core.knowledge.as_of import AsOf
from penstock.core.knowledge.as_of import as_of as as_of_
from penstock.core.knowledge.events import KnowledgeEvent
from penstock.core.knowledge.filters import Filter, parse_filter
from penstock.core.knowledge.passages import Passage
from penstock.errors import Finding, Invalid, LimitReached
from penstock.runtime.collection import LIMIT_MAX, Found, Mode, Search
from penstock.runtime.context import required
from penstock.runtime.engine import Engine
from penstock.runtime.indexer import NAME as INDEXER
from penstock.runtime.open_generations import OpenGenerations

QUERY_CHARS_MAX = 10_000
Moment = int | datetime | str | AsOf | None  # an offset of the log, a time, the id of a run; None: now


class Knowledge:
    """A collection as handlers use it: `handbook = app.knowledge("handbook")`."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def search(
        self,
        text: str,
        *,
        limit: int = 5,
        mode: Mode = "hybrid",
        filter: Filter | Mapping[str, Any] | None = None,
        generation: int | None = None,
        as_of: Moment = None,
    ) -> list[Found]:
        """Return the passages nearest to a text, best first: a step of the run, in the run's tenant.

        `generation`: search that build of the collection, not the one that serves. `as_of`: as it was, at an offset of its log,
        at a time, or when a run (its id) began.
        """
        ctx = required()
        wanted = search_of(text, limit=limit, mode=mode, filter=filter, generation=generation, as_of=as_of)
        return await ctx.read(f"search:{self.name}", ctx.collection(self.name).search, wanted, ctx.tenant)

    def put(self, passage: Passage) -> None:
        """Have a passage indexed, new or changed, after this handling is committed."""
        required().emit(put_event(self.name, passage, agent=required().agent))

    def delete(self, passage_id: str) -> None:
        """Have a passage removed after this handling is committed."""
        required().emit(delete_event(self.name, passage_id, agent=required().agent))


class OpenKnowledge:
    """A collection of a running app, as callers from outside use it."""

    def __init__(self, name: str, engine: Engine, tenant: str) -> None:
        self._collection = engine.services.collection(name)
        self._engine = engine
        self._tenant = tenant

    async def search(
        self,
        text: str,
        *,
        limit: int = 5,
        mode: Mode = "hybrid",
        filter: Filter | Mapping[str, Any] | None = None,
        generation: int | None = None,
        as_of: Moment = None,
    ) -> list[Found]:
        """Return the passages nearest to a text, best first; `generation` and `as_of` as in a handler's search."""
        wanted = search_of(text, limit=limit, mode=mode, filter=filter, generation=generation, as_of=as_of)
        return await self._collection.search(wanted, self._tenant)

    async def put(self, passages: Sequence[Passage], *, agent: str = "api") -> list[str]:
        """Append an event per passage, and return the events' ids once they are durable; indexing follows."""
        events: list[Any] = [put_event(self._collection.name, passage, agent=agent) for passage in passages]
        return await self._engine.send_many(events, tenant=self._tenant)

    async def delete(self, passage_ids: Sequence[str], *, agent: str = "api") -> list[str]:
        """Append an event per passage to remove, and return the events' ids once they are durable."""
        events: list[Any] = [delete_event(self._collection.name, each, agent=agent) for each in passage_ids]
        return await self._engine.send_many(events, tenant=self._tenant)

    async def digests(self) -> Mapping[str, str]:
        """Return id -> digest of all that is indexed."""
        return await self._collection.digests(self._tenant)

    async def passages(self, ids: Sequence[str]) -> Mapping[str, Passage]:
        """Return the passages that are indexed among `ids`."""
        return await self._collection.passages(ids, self._tenant)

    @property
    def generations(self) -> OpenGenerations:
        """The builds of this collection, which are those of all tenants."""
        return OpenGenerations(self._collection.name, self._engine)

    async def indexed(self) -> None:
        """Wait until everything appended so far can be found (read-your-writes)."""
        await self._engine.caught_up(INDEXER)


def search_of(
    text: str,
    *,
    limit: int,
    mode: Mode,
    filter: Filter | Mapping[str, Any] | None,
    generation: int | None = None,
    as_of: Moment = None,
) -> Search:
    """Return a search; `LimitReached` and `Invalid` say what is wrong with it."""
    if not 1 <= limit <= LIMIT_MAX:
        raise LimitReached("the number of passages asked for", limit, LIMIT_MAX)
    if mode not in get_args(Mode):
        raise Invalid("the search", (Finding("mode", f"is {mode!r}", f"one of {', '.join(get_args(Mode))}"),))
    if len(text) > QUERY_CHARS_MAX:
        raise LimitReached("the length of the query, in characters,", len(text), QUERY_CHARS_MAX)
    return Search(
        text, limit, mode, parse_filter(filter) if isinstance(filter, Mapping) else filter, generation, as_of_(as_of)
    )


def put_event(collection: str, passage: Passage, *, agent: str) -> KnowledgeEvent:
    """Return the event that puts a passage; `Invalid` with all findings when it is none, or has other metadata than texts."""
    if not isinstance(passage, Passage):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
        hint = 'give Passage("id", "text", {"source": "where it is from"})'
        raise Invalid("the passage", (Finding("(whole)", f"is a {type(passage).__name__}", hint),))
    values = {
        "collection": collection,
        "passage_id": passage.id,
        "agent_id": agent,
        "action": "UPDATE",
        "payload": passage.text,
        "metadata": passage.metadata,
    }
    return KnowledgeEvent.checked(values)


def delete_event(collection: str, passage_id: str, *, agent: str) -> KnowledgeEvent:
    return KnowledgeEvent(collection=collection, passage_id=passage_id, agent_id=agent, action="DELETE")
