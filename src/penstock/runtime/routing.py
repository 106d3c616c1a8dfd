"""Choosing by similarity: which agent, tool or model a text is for, from examples of each.

- Examples are given with the app, learned beforehand into a file, or passages of a collection (`metadata["route"]`): then they
  are events like all knowledge, and the router learns anew when they have changed.
- In a handler a choice is a step: a run that is resumed or replayed gets the same one. One that is made afresh in a replay sees
  the examples as they were.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from msgspec import Struct, structs
from msgspec.msgpack import encode

from penstock.core.knowledge.as_of import AsOf
from penstock.core.knowledge.ordering import Point
from penstock.core.knowledge.passages import DEFAULT_TENANT, Passage
from penstock.core.routing.judging import Judgement, judged
from penstock.core.routing.router import Examples, Model, Routed, checked, learned
from penstock.core.routing.stored import StoredModel, decode_model
from penstock.errors import Finding, Invalid, LimitReached, Missing
from penstock.ports.embedder import Embedder
from penstock.runtime.collection import Collection

ROUTE = "route"  # in the metadata of a passage that is an example; "" is out of scope
TEXTS_MAX = 1_000  # of one call
TEXT_CHARS_MAX = 10_000  # what is longer is cut
TEXTS_AT_ONCE = 512
TENANTS_MAX = 64  # whose routers are kept, where examples lie in a collection


class RouterPlan(Struct, frozen=True):
    """A router as an app declares it: by one of examples, file and collection."""

    name: str
    examples: Examples | None = None
    file: str = ""
    collection: str = ""
    embedder: str = ""  # "": that of the settings
    score_min: float = 0.5


class RouteAsked(Struct, frozen=True):
    """What is to be routed, and by examples of when."""

    text: str
    as_of: AsOf | None = None  # None: now


class Choosing(Protocol):
    """A router at work."""

    async def choose(self, asked: RouteAsked, tenant: str) -> Routed: ...


class _Learned(Struct, frozen=True):
    model: Model
    version: str
    seen: Point = 0  # up to which event of the collection's log


def planned(
    name: str, routes: Mapping[str, Sequence[str]] | None, outside: Sequence[str], plan: RouterPlan
) -> RouterPlan:
    """Return a plan with its examples; `Invalid` with all findings."""
    findings: list[Finding] = []
    if not name:
        findings.append(Finding("name", "is empty", 'app.router("desk", routes={...})'))
    if sum((routes is not None, bool(plan.file), bool(plan.collection))) != 1:
        findings.append(Finding("routes", "must be given once", "give routes={...}, or file=, or examples=COLLECTION"))
    if not 0 <= plan.score_min <= 1:
        findings.append(Finding("score_min", f"is {plan.score_min!r}", "from 0 to 1; 0.5 is what was learned"))
    if routes is None and outside:
        findings.append(Finding("outside", "goes with routes", 'in a collection: metadata {"route": ""}'))
    if findings:
        raise Invalid(f"the router {name!r}", tuple(findings))
    return plan if routes is None else structs.replace(plan, examples=checked(Examples(routes, outside)))


class LiveRouter:
    """One router of an engine. It learns when it is first asked, beside the event loop."""

    def __init__(self, plan: RouterPlan, embedder: Embedder) -> None:
        self.plan = plan
        self.name = plan.name
        self._embedder = embedder
        self._collections: Mapping[str, Collection] = {}
        self._learned: OrderedDict[str, _Learned] = OrderedDict()  # by tenant; "" where examples are those of all
        self._turn = asyncio.Lock()

    def over(self, collections: Mapping[str, Collection]) -> None:
        """Where examples may lie."""
        self._collections = collections

    async def choose(self, asked: RouteAsked, tenant: str = DEFAULT_TENANT) -> Routed:
        """Return where a text belongs."""
        return (await self.choose_many([asked.text], tenant, asked.as_of))[0]

    async def choose_many(
        self, texts: Sequence[str], tenant: str = DEFAULT_TENANT, as_of: AsOf | None = None
    ) -> list[Routed]:
        """Return where several texts belong."""
        if len(texts) > TEXTS_MAX:
            raise LimitReached("the number of texts routed at once", len(texts), TEXTS_MAX)
        by = await self.learned(tenant, as_of)
        cut = [each[:TEXT_CHARS_MAX] for each in texts]
        found = by.model.choose(cut, await self._embedder.embed(cut, purpose="query"), score_min=self.plan.score_min)
        return [structs.replace(each, router=f"{self.name}@{by.version}", as_of=by.seen) for each in found]

    async def judge(self, texts: Sequence[str], routes: Sequence[str], tenant: str = DEFAULT_TENANT) -> Judgement:
        """Say how well texts are decided whose routes are known ("": none)."""
        decided: list[Routed] = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            decided += await self.choose_many(texts[start : start + TEXTS_AT_ONCE], tenant)
        return judged(routes, decided)

    async def learned(self, tenant: str, as_of: AsOf | None = None) -> _Learned:
        """Return what was learned for a tenant, from the examples as they are, or as they were."""
        if not self.plan.collection:
            async with self._turn:  # whoever comes while it learns gets the same
                if "" not in self._learned:
                    self._learned[""] = await self._given()
                return self._learned[""]
        return await self._of_collection(tenant, as_of)

    async def _given(self) -> _Learned:
        if self.plan.file:
            stored = await asyncio.to_thread(read_model, Path(self.plan.file))
            if stored.embedder != self._embedder.name:
                problem = f"was learned with the embedder {stored.embedder!r}, and this one is {self._embedder.name!r}"
                raise Invalid(self.plan.file, (Finding("embedder", problem, "learn it anew: `penstock route fit`"),))
            return _Learned(stored.model, stored.digest[:8])
        assert self.plan.examples is not None, self.name
        return await self._new(self.plan.examples, 0)

    async def _of_collection(self, tenant: str, as_of: AsOf | None) -> _Learned:
        collection = self._collections.get(self.plan.collection)
        if collection is None:
            name = self.plan.collection
            raise Missing(f"the knowledge collection {name!r}", f"declare it: app.knowledge({name!r})")
        async with self._turn:
            known = self._learned.get(tenant)
            if as_of is not None:
                seen, passages = await collection.as_it_was(as_of, tenant)
                return await self._new(examples_in(passages), seen)
            seen = collection.generations.seen
            if known is None or known.seen != seen:
                examples = examples_in(await _passages(collection, tenant))
                if known is not None and known.version == version_of(examples, self._embedder.name)[:8]:
                    known = structs.replace(known, seen=seen)
                else:
                    known = await self._new(checked(examples), seen)
                self._learned[tenant] = known
            self._learned.move_to_end(tenant)
            while len(self._learned) > TENANTS_MAX:
                self._learned.popitem(last=False)
            return known

    async def _new(self, examples: Examples, seen: Point) -> _Learned:
        stored = await learn(checked(examples), self._embedder)
        return _Learned(stored.model, stored.digest[:8], seen)


async def learn(examples: Examples, embedder: Embedder, advance: Callable[[int], None] = lambda _: None) -> StoredModel:
    """Learn from checked examples, beside the event loop; `advance` is told how far it is, out of `work_of(examples)`."""
    import numpy as np

    texts = examples.texts
    vectors = [
        await embedder.embed(texts[start : start + TEXTS_AT_ONCE], purpose="query")
        for start in range(0, len(texts), TEXTS_AT_ONCE)
    ]
    model = await asyncio.to_thread(learned, examples, np.concatenate(vectors), advance)
    return StoredModel(model, embedder.name, version_of(examples, embedder.name))


def version_of(examples: Examples, embedder: str) -> str:
    """Return a digest of what is learned from."""
    routes = {route: list(examples.routes[route]) for route in sorted(examples.routes)}
    return blake2b(encode((routes, list(examples.outside), embedder)), digest_size=16).hexdigest()


def read_model(path: Path) -> StoredModel:
    """Return the router in a file; `Missing`, or `Invalid` when it is none."""
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Missing(
            f"the router {str(path)!r} ({error.strerror})", "make it: `penstock route fit EXAMPLES`"
        ) from error
    return decode_model(body, str(path))


def examples_in(passages: Sequence[Passage]) -> Examples:
    """Return the examples among passages: those that say their route."""
    routes: dict[str, list[str]] = {}
    for each in sorted(passages, key=lambda passage: passage.id):
        if ROUTE in each.metadata:
            routes.setdefault(each.metadata[ROUTE], []).append(each.text)
    outside = routes.pop("", [])
    return Examples(
        {route: list(dict.fromkeys(texts)) for route, texts in routes.items()}, list(dict.fromkeys(outside))
    )


async def _passages(collection: Collection, tenant: str) -> list[Passage]:
    ids = sorted(await collection.digests(tenant))
    found: list[Passage] = []
    for start in range(0, len(ids), TEXTS_AT_ONCE):
        found += (await collection.passages(ids[start : start + TEXTS_AT_ONCE], tenant)).values()
    return found
