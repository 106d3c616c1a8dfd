"""What `penstock knowledge` does: on a store that no app has open, or over HTTP with the app that runs."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from penstock.adapters.documents.folder import LEFT_OUT, open_folder
from penstock.cli.loading import loaded_app
from penstock.cli.looking import print_json
from penstock.cli.progress import bar
from penstock.cli.tables import printable
from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.documents import Chunking, chunking_of, document_passages, prefix_of, root_of, titled
from penstock.core.knowledge.passages import Passage
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.settings import settings

if TYPE_CHECKING:
    from penstock.app import App, Running
    from penstock.runtime.knowledge import OpenKnowledge

T = TypeVar("T")
APP, COLLECTION, AGENT = "knowledge", "documents", "cli"
CHUNK = 512
PART_CHARS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """A collection, and where it lies. `flags` are settings; `url`: of the app that runs."""

    app: Path | None
    collection: str | None
    tenant: str
    flags: Mapping[str, str | None]
    url: str | None = None


def create(place: Place, *, as_json: bool) -> None:
    app, name = app_of(place)

    async def running() -> dict[str, Any]:
        async with app.running(settings(place.flags)) as live:
            generations = live.engine.services.collection(name).generations
            is_new = not generations.stored
            generations.keep(live.engine.services.committer)
            await live.engine.services.committer.durable()
            return {"collection": name, "embedder": generations.catalogue.serving.model, "created": is_new}

    made = owned(running)
    if as_json:
        print_json(made)
    else:
        print(f"{made['collection']}: {'created' if made['created'] else 'is there'}, embedder {made['embedder']}")


def put(place: Place, paths: Sequence[Path], *, as_json: bool) -> int:
    """Put documents, and return the exit code: 1 when some could not be read."""

    async def work(knowledge: "OpenKnowledge") -> tuple[int, list[Finding]]:
        found, findings = await asyncio.to_thread(_read, paths)
        known = await knowledge.digests()
        chunking = chunking_of((await knowledge.generations.serving()).options)
        changed = [each for each in found if _is_new(each, known, chunking)]
        with bar("indexing", len(changed), is_shown=True) as tick:
            for part in _parts(changed):
                await knowledge.put(part, agent=AGENT, consistency="bulk")
                tick(len(part))
            await knowledge.refresh()
        return len(changed), findings

    changed, findings = _sent(place, paths) if place.url else on_collection(place, work)
    if as_json:
        print_json({"put": changed, "findings": [{"path": each.path, "problem": each.problem} for each in findings]})
    else:
        print(f"{counted(changed, 'document')} put")
        for each in findings:
            print(f"penstock: {each}", file=sys.stderr)
    return 1 if any(not each.problem.startswith(LEFT_OUT) for each in findings) else 0


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def named_at(place: Place) -> str:
    """Return the collection of an app that runs: the one that was named, or its only one."""
    from penstock.cli.remote import asked

    assert place.url is not None
    if place.collection is not None:
        return place.collection
    match [each["name"] for each in asked(place.url, "/v1/knowledge")["collections"]]:
        case [only]:
            return only
        case several:
            hint = f"one of {', '.join(several)}" if several else "the app has none: app.knowledge(NAME)"
            raise Invalid("the options", (Finding("--collection", "must be given", hint),))


def _is_new(document: Document, known: Mapping[str, str], chunking: Chunking) -> bool:
    """Whether a document is other than its passages."""
    wanted = {each.id: each.digest for each in document_passages(titled(document), chunking)}
    there = {each for each in known if each == root_of(document.id) or each.startswith(prefix_of(document.id))}
    return there != wanted.keys() or any(known[each] != digest for each, digest in wanted.items())


def _parts(documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
    """Yield documents in parts that are neither too many nor too large for one request."""
    part: list[Document] = []
    chars = 0
    for each in documents:
        if part and (len(part) == CHUNK or chars + len(each.text) > PART_CHARS_MAX):
            yield part
            part, chars = [], 0
        part.append(each)
        chars += len(each.text)
    if part:
        yield part


def _sent(place: Place, paths: Sequence[Path]) -> tuple[int, list[Finding]]:
    from penstock.cli.remote import posted

    assert place.url is not None
    found, findings = _read(paths)
    path = f"/v1/knowledge/{quote(named_at(place), safe='')}/documents?consistency=strong"
    with bar("indexing", len(found), is_shown=True) as tick:
        for part in _parts(found):
            many = [{"id": each.id, "title": each.title, "text": each.text, "metadata": each.metadata} for each in part]
            posted(place.url, path, {"documents": many, "agent_id": AGENT}, tenant=place.tenant)
            tick(len(part))
    return len(found), findings


def _read(paths: Sequence[Path]) -> tuple[list[Document], list[Finding]]:
    found: dict[str, Document] = {}
    findings: list[Finding] = []
    for path in paths:
        docs = open_folder(path)
        with bar(f"reading {printable(str(path))}", docs.total, is_shown=True) as tick:
            for each in docs:
                tick(1)
                if isinstance(each, Finding):
                    findings.append(each)
                else:
                    found[each.id] = each
    return list(found.values()), findings


def delete(place: Place, ids: Sequence[str], *, as_json: bool) -> None:
    async def work(knowledge: "OpenKnowledge") -> int:
        known = await knowledge.digests()
        for document in ids:
            if not any(each == root_of(document) or each.startswith(prefix_of(document)) for each in known):
                raise Missing(f"a document {document!r}", "see `penstock knowledge export -`")
        await knowledge.delete(documents=ids, agent=AGENT, consistency="strong")
        return len(known) - len(await knowledge.digests())

    count = on_collection(place, work)
    print_json({"deleted": count}) if as_json else print(f"{counted(count, 'passage')} deleted")


def export(place: Place, out: Path) -> None:
    lines = [
        json.dumps({"id": each.id, "text": each.text, "metadata": each.metadata}, ensure_ascii=False)
        for each in on_collection(place, all_passages)
    ]
    text = "".join(f"{line}\n" for line in lines)
    if str(out) == "-":
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
        print(f"{len(lines):,} passages written to {out}", file=sys.stderr)


async def all_passages(knowledge: "OpenKnowledge") -> list[Passage]:
    """Return what is indexed, in the order of ids."""
    ids = sorted(await knowledge.digests())
    found: list[Passage] = []
    for part in (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)):
        kept = await knowledge.passages(part)
        found += [kept[each] for each in part if each in kept]
    return found


def on_collection(place: Place, work: "Callable[[OpenKnowledge], Awaitable[T]]") -> T:
    """Do something with a collection in a store that no app has open; without an app's file, by an app that has nothing else."""
    app, name = app_of(place)

    async def running() -> T:
        async with app.running(settings(place.flags)) as live:
            return await work(opened(live, name, place.tenant))

    return owned(running)


def owned(running: Callable[[], Awaitable[T]]) -> T:
    """Run what needs the store for itself; say what to do when an app has it open."""

    async def whole() -> T:
        return await running()

    try:
        return asyncio.run(whole())
    except Refused as error:
        if "in use" not in error.reason:
            raise
        raise Refused(error.reason, "its app runs: ask it with --url http://HOST:PORT, or stop it") from error


def app_of(place: Place) -> "tuple[App, str]":
    """Return the app whose knowledge it is, and the name of the collection."""
    from penstock.app import App

    if place.app is None:
        app, name = App(APP), place.collection or COLLECTION
        # What is there keeps its embedder; that of the settings is for what is new, and one that is asked for here must fit.
        app.knowledge(name, on_change="refuse" if place.flags.get("embedder") else "keep")
        return app, name
    app = loaded_app(place.app)
    names = app.collections
    name = place.collection or (names[0] if len(names) == 1 else "")
    if name not in names:
        problem = f"{name!r} is not one of the app's" if name else "must be given"
        raise Invalid("the options", (Finding("--collection", problem, f"one of {', '.join(names) or 'none'}"),))
    return app, name


def opened(live: "Running", name: str, tenant: str) -> "OpenKnowledge":
    return live.knowledge(name, tenant=tenant)
