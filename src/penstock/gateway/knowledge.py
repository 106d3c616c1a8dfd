"""Writing to knowledge over HTTP: documents, passages, and events in the form of S0, as JSON or as Avro in Confluent's frame."""

from datetime import datetime
from typing import Annotated, Any, cast

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.events import KnowledgeEvent, wrong_with
from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.tokens import Written
from penstock.core.knowledge.uses import USED_MAX, Verdict
from penstock.core.schemas.wire import MAGIC, decode_avro, unframed
from penstock.errors import Finding, Invalid, LimitReached
from penstock.gateway.callers import IdempotencyKey, RunningApp, Tenant, event_id
from penstock.gateway.problems import documented
from penstock.runtime.evaluating import figures_of, measured_by_use
from penstock.runtime.knowing import EVENTS_MAX, Consistency
from penstock.runtime.knowledge import exported

routes = APIRouter(prefix="/v1/knowledge", tags=["knowledge"])
Asked = Annotated[Consistency, Query(description="strong: found; eventual: durable; bulk: accepted.")]
EVALUATED_MAX = 1_000  # queries of one request
FILES_MAX = 100  # that are put by reference in one request
_PROBLEMS = documented(404, 409, 413, 422, 429, 503)


class DocumentGiven(BaseModel):
    """A document, which is cut into passages, or (`whole`) one passage as it is."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1)
    text: str
    title: str = ""
    metadata: dict[str, str] = {}
    whole: bool = False


class PutRequest(BaseModel):
    """What is put."""

    model_config = ConfigDict(extra="forbid")

    documents: list[DocumentGiven] = Field(min_length=1, max_length=EVENTS_MAX)
    agent_id: str = "api"
    ttl_s: float | None = None
    expires_at: datetime | None = None


class WrittenShown(BaseModel):
    """Events that were accepted, by the ids that they came with, and the token by which a search waits for them (`after`)."""

    events: list[str]
    token: str


class IndexingShown(BaseModel):
    """How far behind the indexer is, and what it did since the start of this worker."""

    lag: int
    events: int
    embedded: int
    kept: int
    deleted: int
    passages_per_s: float
    cache_hits: int
    cache_misses: int
    by_words: int = Field(description="Searches that went by words alone, though they asked for vectors too.")
    vectors_down: str = Field(description="Why searches go by words alone at present; empty while vectors answer.")
    searches: int
    search_p50_ms: float = Field(description="Of the last 1,000 searches.")
    search_p99_ms: float


class CollectionShown(BaseModel):
    """A collection at work."""

    name: str
    generation: int = Field(description="The one that serves.")
    embedder: str
    model: str
    indexing: IndexingShown


class CollectionsShown(BaseModel):
    """All collections of the app."""

    collections: list[CollectionShown]


@routes.get("", summary="List collections", responses=documented(503))
async def list_collections(running: RunningApp, tenant: Tenant) -> CollectionsShown:
    """Return the app's collections, which generation of each serves, and how it does, of this worker."""
    shown: list[CollectionShown] = []
    for name in running.app.collections:
        knowledge = running.knowledge(name, tenant=tenant)
        serving = next(
            each.generation for each in await knowledge.generations.list() if each.generation.status == "serving"
        )
        indexing = IndexingShown(**msgspec.structs.asdict(knowledge.indexing()))
        shown.append(
            CollectionShown(
                name=name, generation=serving.number, embedder=serving.embedder, model=serving.model, indexing=indexing
            )
        )
    return CollectionsShown(collections=shown)


@routes.post("/{collection}/documents", status_code=202, summary="Put documents", responses=_PROBLEMS)
async def put_documents(
    collection: str, given: PutRequest, running: RunningApp, tenant: Tenant, consistency: Asked = "eventual"
) -> WrittenShown:
    """Put documents, new or changed. Only passages that are other than before are embedded."""
    what = [
        Passage(each.id, each.text, each.metadata)
        if each.whole
        else Document(each.id, each.title, each.text, each.metadata)
        for each in given.documents
    ]
    knowledge = running.knowledge(collection, tenant=tenant)
    return shown(
        await knowledge.put(
            what,
            agent=given.agent_id,
            consistency=consistency,
            ttl_s=given.ttl_s,
            expires_at=given.expires_at,
        )
    )


class ObjectsRequest(BaseModel):
    """Files that are put by reference."""

    model_config = ConfigDict(extra="forbid")

    files: list[str] = Field(
        min_length=1, max_length=FILES_MAX, description="s3://BUCKET/KEY, of the setting `objects`."
    )
    agent_id: str = "api"
    ttl_s: float | None = None
    expires_at: datetime | None = None


@routes.put("/{collection}/files/{name:path}", status_code=202, summary="Put a file", responses=_PROBLEMS)
async def put_file(
    collection: str,
    name: str,
    request: Request,
    running: RunningApp,
    tenant: Tenant,
    consistency: Asked = "eventual",
) -> WrittenShown:
    """Put what a file says, which is the body, as the document of its name: .md, .txt, .rst, .html, .pdf, .docx or .py."""
    knowledge = running.knowledge(collection, tenant=tenant)
    return shown(await knowledge.put_file(name, await request.body(), consistency=consistency))


@routes.post("/{collection}/files", status_code=202, summary="Put files by reference", responses=_PROBLEMS)
async def put_objects(
    collection: str, given: ObjectsRequest, running: RunningApp, tenant: Tenant, consistency: Asked = "eventual"
) -> WrittenShown:
    """Put what files say that lie where the setting `objects` says; each is the document of its reference."""
    knowledge = running.knowledge(collection, tenant=tenant)
    return shown(
        await knowledge.put_objects(
            given.files,
            agent=given.agent_id,
            consistency=consistency,
            ttl_s=given.ttl_s,
            expires_at=given.expires_at,
        )
    )


@routes.delete(
    "/{collection}/documents/{document:path}", status_code=202, summary="Remove a document", responses=_PROBLEMS
)
async def delete_document(
    collection: str, document: str, running: RunningApp, tenant: Tenant, consistency: Asked = "eventual"
) -> WrittenShown:
    """Remove a document with all its passages: that of this tenant with exactly this id."""
    knowledge = running.knowledge(collection, tenant=tenant)
    return shown(await knowledge.delete(documents=[document], consistency=consistency))


class PassageShown(BaseModel):
    """A passage as it is indexed."""

    id: str
    text: str
    metadata: dict[str, str]


class DocumentShown(BaseModel):
    """A document, as its passages."""

    id: str
    passages: list[PassageShown]


@routes.get("/{collection}/documents/{document:path}", summary="Show a document", responses=documented(404, 422, 503))
async def show_document(collection: str, document: str, running: RunningApp, tenant: Tenant) -> DocumentShown:
    """Return what is indexed of a document, by the ids of its passages."""
    found = await running.knowledge(collection, tenant=tenant).document(document)
    passages = [PassageShown(id=each.id, text=each.text, metadata=each.metadata) for each in found]
    return DocumentShown(id=document, passages=passages)


_LINES = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "The passages."}}


@routes.get(
    "/{collection}/export",
    summary="Export all passages",
    response_class=StreamingResponse,
    responses={**_LINES, **documented(404, 503)},
)
async def export(collection: str, running: RunningApp, tenant: Tenant) -> StreamingResponse:
    """Stream all passages, a line of JSON for each, in the order of their ids."""
    lines = exported(running.knowledge(collection, tenant=tenant))
    return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


@routes.post("/{collection}/events", status_code=202, summary="Send knowledge events", responses=_PROBLEMS)
async def send_events(
    collection: str, request: Request, running: RunningApp, tenant: Tenant, consistency: Asked = "eventual"
) -> WrittenShown:
    """Send events in the form of S0: an object or a list of them as JSON, or one as Avro or JSON in Confluent's frame.

    The schema of a frame is looked up in the app's registry. The same `event_id` twice is one event.
    """
    plain = await _plain(await request.body(), running, tenant)
    many = cast("list[Any]", plain) if isinstance(plain, list) else [plain]
    if len(many) > EVENTS_MAX:
        raise LimitReached("the number of events in a batch", len(many), EVENTS_MAX)
    knowledge = running.knowledge(collection, tenant=tenant)
    return shown(await knowledge.apply(_events(many), consistency=consistency))


class UsedRequest(BaseModel):
    """Passages that an answer to a query used."""

    model_config = ConfigDict(extra="forbid")

    query: str
    used: list[str] = Field(min_length=1, max_length=USED_MAX)
    shown: list[str] = []
    verdict: Verdict = "used"
    agent_id: str = "api"


@routes.post("/{collection}/used", status_code=202, summary="Say what was used", responses=_PROBLEMS)
async def say_used(
    collection: str, given: UsedRequest, running: RunningApp, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> dict[str, str]:
    """Say that an answer used passages: searches with a `boost` lift them, and evaluation from use judges by them."""
    named = None if idempotency_key is None else event_id(tenant, idempotency_key, "used")
    knowledge = running.knowledge(collection, tenant=tenant)
    event = await knowledge.used(
        given.query, given.used, verdict=given.verdict, shown=given.shown, agent=given.agent_id, id=named
    )
    return {"event": event}


class FiguresShown(BaseModel):
    """How well and how fast one way of searching finds what was used."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    ndcg: float = Field(alias="ndcg@10")
    recall: float = Field(alias="recall@100")
    mrr: float
    p50_ms: float
    p99_ms: float
    queries: int
    ndcg_of: dict[str, float] = Field(alias="ndcg@10_of", description="nDCG@10 of each query.")


@routes.post("/{collection}/evaluation", summary="Measure search by real use", responses=_PROBLEMS)
async def evaluate_by_use(
    collection: str,
    running: RunningApp,
    tenant: Tenant,
    queries_max: Annotated[int, Query(ge=1, le=EVALUATED_MAX)] = 200,
) -> dict[str, FiguresShown]:
    """Ask the last queries again in each mode, and judge by what their answers used (`used`). It takes some ms a query."""
    knowledge, clock = running.knowledge(collection, tenant=tenant), running.engine.services.clock
    found = await measured_by_use(knowledge, clock, queries_max=queries_max, began=lambda _: _unheard)
    return {name: FiguresShown(**each) for name, each in figures_of(found, per_query=True).items()}


@routes.post("/{collection}/refresh", status_code=204, summary="Wait for bulk writes", responses=_PROBLEMS)
async def refresh(collection: str, running: RunningApp, tenant: Tenant) -> None:
    """Return when all that was accepted so far can be found."""
    await running.knowledge(collection, tenant=tenant).refresh()


@routes.get("/{collection}/indexing", summary="How far the indexer is", responses=_PROBLEMS)
async def show_indexing(collection: str, running: RunningApp, tenant: Tenant) -> IndexingShown:
    """Return lag and throughput, of this worker."""
    return IndexingShown(**msgspec.structs.asdict(running.knowledge(collection, tenant=tenant).indexing()))


async def _plain(body: bytes, running: Any, tenant: str) -> Any:
    if body[:1] == bytes([MAGIC]):
        number, rest = unframed(body)
        schema = await running.schemas(tenant=tenant).by_id(number)
        if schema.kind == "AVRO":
            return decode_avro(body, schema.schema)
        body = rest
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the body", (Finding("(whole)", str(error), "send events as JSON, or framed Avro"),)) from error


def _events(many: list[Any]) -> list[KnowledgeEvent]:
    events: list[KnowledgeEvent] = []
    findings: list[Finding] = []
    for number, each in enumerate(many):
        try:
            event = KnowledgeEvent.checked(each)
            found = wrong_with(event)
        except Invalid as error:
            found = error.findings
        else:
            events.append(event)
        findings += [Finding(f"[{number}].{one.path}", one.problem, one.hint) for one in found]
    if findings:
        raise Invalid("the knowledge events", tuple(findings))
    return events


def _unheard(_: int) -> None:
    """Nobody waits for a bar to move."""


def shown(written: Written) -> WrittenShown:
    """Return what a write came to, as the outside sees it."""
    return WrittenShown(events=list(written.events), token=written.token)
