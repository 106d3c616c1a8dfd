"""What `penstock memory` does: on a store that no app has open, or over HTTP with the app that runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from penstock.cli.knowing import counted, owned
from penstock.cli.loading import loaded_app
from penstock.cli.looking import print_json
from penstock.cli.remote import asked as remote_asked
from penstock.cli.remote import posted
from penstock.cli.tables import printable
from penstock.errors import Finding, Invalid
from penstock.settings import settings

if TYPE_CHECKING:
    from penstock.runtime.memories import OpenMemories

T = TypeVar("T")
TEXT_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A memory, and where it lies. `url`: of the app that runs."""

    app: Path | None
    memory: str | None
    tenant: str
    store: str | None
    url: str | None


def show_list(place: Place, asked: Mapping[str, Any], *, as_json: bool) -> None:
    """Print memories, newest first."""

    async def work(memory: "OpenMemories") -> Any:
        return {"memories": msgspec.to_builtins(await memory.list(**asked))}

    found = _at(place, "list", asked) if place.url else _here(place, work)
    if as_json:
        print_json(found)
        return
    for each in found["memories"]:
        print(printable(f"{each['id']}  {_about(each)}  importance {each['importance']:g}"))
        print(f"    {printable(_short(each['text']))}")
    if not found["memories"]:
        print("nothing is remembered")


def show_recalled(place: Place, query: str, asked: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what comes up, best first."""
    whose = {name: value for name, value in asked.items() if value not in ("", None)}

    async def work(memory: "OpenMemories") -> Any:
        return {"memories": msgspec.to_builtins(await memory.recall(query, **whose))}

    found = _at(place, "recall", {**whose, "query": query}) if place.url else _here(place, work)
    if as_json:
        print_json(found)
        return
    for each in found["memories"]:
        parts = f"relevance {each['relevance']:.2f}, recency {each['recency']:.2f}, importance {each['importance']:.2f}"
        print(printable(f"{each['score']:.3f}  {each['id']}  {_about(each)}  ({parts})"))
        print(f"    {printable(_short(each['text']))}")
    if not found["memories"]:
        print("nothing comes up")


def forget(place: Place, ids: Sequence[str], *, as_json: bool) -> None:
    """Remove memories, and say how many were named."""

    async def work(memory: "OpenMemories") -> Any:
        await memory.forget(*ids)

    if place.url:
        _at(place, "forget", {"ids": list(ids)})
    else:
        _here(place, work)
    if as_json:
        print_json({"forgotten": list(ids)})
    else:
        print(f"{counted(len(ids), 'memory').replace('memorys', 'memories')} forgotten")


def _about(each: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(each["at_ms"] / 1000, UTC).isoformat(sep=" ", timespec="seconds")
    names = [f"{name} {each[name]}" for name in ("session", "user", "agent") if each.get(name)]
    return f"{when.removesuffix('+00:00')}Z  {each['scope']}" + (f" ({', '.join(names)})" if names else "")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_SHOWN else f"{line[:TEXT_SHOWN]}..."


def _at(place: Place, what: str, body: Mapping[str, Any]) -> Any:
    assert place.url is not None
    name = place.memory or _only(remote_asked(place.url, "/v1/memories")["memories"])
    return posted(place.url, f"/v1/memories/{quote(name, safe='')}/{what}", dict(body), tenant=place.tenant)


def _here(place: Place, work: "Callable[[OpenMemories], Awaitable[T]]") -> T:
    if place.app is None:
        problem, hint = "or --url is to be given", "which memories there are stands in the app"
        raise Invalid("the options", (Finding("--app", problem, hint),))
    app = loaded_app(place.app)
    name = place.memory or _only(sorted(app.memories))

    async def running() -> T:
        async with app.running(settings({"store": place.store})) as live:
            return await work(live.memory(name, tenant=place.tenant))

    return owned(running)


def _only(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    hint = f"one of {', '.join(names)}" if names else "the app has none: app.memory(NAME)"
    raise Invalid("the options", (Finding("--memory", "must be given", hint),))
