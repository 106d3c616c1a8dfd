"""What `penstock knowledge` does: on a store that no app has open, or over HTTP with the app that runs."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from penstock.adapters.documents.folder import LEFT_OUT, open_folder
from penstock.cli.loading import loaded_app
from penstock.cli.looking import print_json
from penstock.cli.progress import bar
from penstock.cli.tables import printable
from penstock.cli.written_files import require_writable, written
from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.documents import Chunking, chunking_of, document_passages, prefix_of, root_of, titled
from penstock.core.knowledge.passages import Passage
from penstock.errors import Finding, Invalid, Missing, Refused
from penstock.runtime.knowledge import exported
from penstock.settings import path_of, settings, store_url

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


def list_collections(place: Place, *, as_json: bool) -> None:
    """Print the collections of a store, or of an app that runs."""
    rows = _of_running(place) if place.url else _of_store(place)
    if as_json:
        print_json({"collections": rows})
        return
    for each in rows:
        print(printable(f"{each['name']}: generation {each['generation']}, {each['embedder']} ({each['model']})"))
    if not rows:
        print("no collections", file=sys.stderr)


def _of_running(place: Place) -> list[dict[str, Any]]:
    from penstock.cli.remote import asked

    assert place.url is not None
    found = asked(place.url, "/v1/knowledge", tenant=place.tenant)["collections"]
    return [{key: each[key] for key in ("name", "generation", "embedder", "model")} for each in found]


def _of_store(place: Place) -> list[dict[str, Any]]:
    from penstock.app import App
    from penstock.runtime.known_collections import known_collections

    name = APP if place.app is None else loaded_app(place.app).name
    require_store(place, name)

    async def running() -> list[dict[str, Any]]:
        async with App(name).running(settings({**place.flags, "vectors": None})) as live:
            found = await known_collections(live.engine.parts.store)
        return [
            {
                "name": each.name,
                "generation": each.serving.number,
                "embedder": each.serving.embedder,
                "model": each.serving.model,
            }
            for each in found
        ]

    return owned(running)


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

    changed, findings = _sent(place, paths) if place.url else on_collection(place, work, makes=True)
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
    """Take documents out; `Missing`, and nothing is changed, when one of them is not there."""

    async def work(knowledge: "OpenKnowledge") -> int:
        count = sum([len(await knowledge.document(each)) for each in ids])
        await knowledge.delete(documents=ids, agent=AGENT, consistency="strong")
        return count

    ids = list(dict.fromkeys(ids))
    count = _deleted(place, ids) if place.url else on_collection(place, work)
    print_json({"deleted": count}) if as_json else print(f"{counted(count, 'passage')} deleted")


def _deleted(place: Place, ids: Sequence[str]) -> int:
    from penstock.cli.remote import asked
    from penstock.cli.remote import deleted as let_go

    assert place.url is not None
    url, name = place.url, quote(named_at(place), safe="")
    paths = [f"/v1/knowledge/{name}/documents/{quote(each, safe='')}" for each in ids]
    count = sum(len(asked(url, path, tenant=place.tenant)["passages"]) for path in paths)
    for path in paths:
        let_go(url, f"{path}?consistency=strong", tenant=place.tenant)
    return count


def export(place: Place, out: Path, *, as_json: bool = False) -> None:
    """Write the passages of a collection, one a line, to the screen or to a file."""
    if str(out) == "-":
        _export(place, sys.stdout.buffer)
        return
    require_writable(out, "FILE")
    with written(out, "FILE") as file:
        count = _export(place, file)
    if as_json:
        print_json({"passages": count, "file": str(out)})
    else:
        print(f"{counted(count, 'passage')} written to {out}", file=sys.stderr)


def _export(place: Place, file: IO[bytes]) -> int:
    """Write passages as they come, and return how many there were."""
    if place.url:
        from penstock.cli.remote import lines_of

        count = 0
        path = f"/v1/knowledge/{quote(named_at(place), safe='')}/export"
        for line in lines_of(place.url, path, tenant=place.tenant):
            file.write(line)
            count += 1
        return count

    async def work(knowledge: "OpenKnowledge") -> int:
        count = 0
        async for line in exported(knowledge):
            file.write(line)
            count += 1
        return count

    return on_collection(place, work)


async def all_passages(knowledge: "OpenKnowledge") -> list[Passage]:
    """Return what is indexed, in the order of ids."""
    return [each async for each in knowledge.everything()]


def on_collection(place: Place, work: "Callable[[OpenKnowledge], Awaitable[T]]", *, makes: bool = False) -> T:
    """Do something with a collection in a store that no app has open; without an app's file, by an app that has nothing else.

    Unless it `makes` them, `Missing` for a store that is not there, and for a collection that nothing was ever put into.
    """
    app, name = app_of(place)
    if not makes:
        require_store(place, app.name)

    async def running() -> T:
        async with app.running(settings(place.flags)) as live:
            knowledge = opened(live, name, place.tenant)
            if not makes:
                await require_known(live, place, name)
            return await work(knowledge)

    return owned(running)


def require_store(place: Place, app: str) -> None:
    """Raise `Missing` where a command would make an empty store only to find nothing in it."""
    scheme, _, rest = store_url(settings(place.flags), app).partition(":")
    if place.app is None and scheme == "sqlite" and not path_of(rest).exists():
        raise Missing(
            f"the store {path_of(rest)}",
            "put documents first: penstock knowledge put DIR; or name another one: --store",
        )


async def require_known(live: "Running", place: Place, name: str) -> None:
    """Raise `Missing` for a collection that nothing was ever put into, with the names of those that there are."""
    from penstock.runtime.known_collections import known_collections

    knowledge = opened(live, name, place.tenant)
    if place.app is not None or knowledge.is_known or await knowledge.digests():
        return
    others = ", ".join(each.name for each in await known_collections(live.engine.parts.store))
    hint = f"--collection may be {others}" if others else "put documents into it: penstock knowledge put DIR"
    raise Missing(f"the collection {name!r}", hint)


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
