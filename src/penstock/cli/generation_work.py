"""What the commands on generations do: on a store that no app has open, or over HTTP with the app that runs."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import msgspec

from penstock.cli.knowing import Place, app_of, named_at, owned, require_known, require_store
from penstock.cli.looking import print_json
from penstock.cli.progress import bar
from penstock.cli.remote import asked as remote_asked
from penstock.cli.remote import deleted, posted
from penstock.cli.tables import printable
from penstock.core.knowledge.verifying import Verified
from penstock.errors import Finding, Invalid, Refused
from penstock.reading import judged_collection
from penstock.runtime.comparing_generations import Comparison, Question
from penstock.settings import settings

if TYPE_CHECKING:
    from penstock.runtime.open_generations import OpenGenerations

LOOK_S = 0.2
VERIFIED_WITHIN_S = 3600.0
T = TypeVar("T")


def show(where: Place, *, as_json: bool) -> None:
    found = _listed(where)
    if as_json:
        print_json(found)
        return
    print(f"{'':2}{'no':>3}  {'status':9}  {'done':>5}  {'behind':>8}  embedder")
    for each in found["generations"]:
        mark = "*" if each["status"] == "serving" else ""
        note = each["problem"] or each["note"] or ("refines what is found" if each.get("refines") else "")
        done = f"{each['done']:.0%}" if each["status"] != "dropped" else ""
        line = f"{mark:2}{each['number']:>3}  {each['status']:9}  {done:>5}  {each['behind']:>8,}  {each['embedder']}"
        print(printable(f"{line} ({each['model']})" + (f"  {note}" if note else "")))


def build(where: Place, asked: Mapping[str, Any], *, wait: bool, as_json: bool, refines: bool = False) -> None:
    if where.url:
        path = _path(where, "refine" if refines else "generations")
        number = posted(where.url, path, dict(asked), tenant=where.tenant)["generation"]
        found = _waited(where, number) if wait else {"number": number, "status": "building"}
    else:
        found = _here(where, lambda generations: _built(generations, asked, refines=refines))
    if as_json:
        print_json(found)
    else:
        print(f"generation {found['number']}: {found['status']}")
        if left := found.get("left_out"):
            print(f"penstock: {left:,} events could not be indexed, and are left out of it", file=sys.stderr)


async def _built(generations: "OpenGenerations", asked: Mapping[str, Any], *, refines: bool) -> dict[str, Any]:
    """Build in this process, and show how far it is."""
    number = await (generations.refine(**asked) if refines else generations.build(**asked))
    with bar("building", 100, is_shown=True) as tick:
        seen = 0
        while True:
            state = await generations.state(number)
            seen += _moved(tick, seen, state.done)
            if _has_ended(state.generation.status, state.generation.switch, state.generation.note):
                break
            await asyncio.sleep(LOOK_S)
    shown = await _shown(generations)
    return next(each for each in shown["generations"] if each["number"] == number)


def _waited(where: Place, number: int) -> dict[str, Any]:
    """Watch a build of the running app."""
    with bar("building", 100, is_shown=True) as tick:
        seen = 0
        while True:
            found = next(each for each in _listed(where)["generations"] if each["number"] == number)
            seen += _moved(tick, seen, found["done"])
            if _has_ended(found["status"], found.get("switch", False), found["note"]):
                return found
            time.sleep(LOOK_S)


def _moved(tick: Callable[[int], None], seen: int, done: float) -> int:
    more = max(0, int(done * 100) - seen)
    tick(more)
    return more


def _has_ended(status: str, switches: bool, note: str) -> bool:
    if status in ("dropping", "dropped"):
        raise Refused("the generation was dropped", note or "build a new one")
    return not (status == "building" or (status == "ready" and switches))


def compare(where: Place, number: int, asked: Sequence[Question], limit: int, *, as_json: bool) -> None:
    if where.url:
        grades = [each.grades for each in asked]
        body = {"generation": number, "queries": [each.text for each in asked], "grades": grades, "limit": limit}
        path = _path(where, "compare")
        found = msgspec.convert(
            posted(where.url, path, body, tenant=where.tenant, within_s=VERIFIED_WITHIN_S), Comparison
        )
    else:
        found = _here(where, lambda each: each.compare(number, asked, tenant=where.tenant, limit=limit))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    print(f"{found.queries:,} questions to generations {found.before_generation} (serves) and {found.after_generation}")
    print(f"  of the best {found.limit} the same: {found.overlap:.1%}; the same best one: {found.first:.1%}")
    if found.before is not None and found.after is not None:
        print(f"  nDCG@10 of {found.judged:,} judged ones: {found.before.ndcg:.3f} -> {found.after.ndcg:.3f}")
    for each in found.examples:
        print(printable(f"  {each.overlap:.0%}  {each.query}"))


def questions(queries: Path | None, judged: Path | None) -> list[Question]:
    """Return what is to be asked."""
    if judged is not None:
        found = judged_collection(judged, "")
        return [Question(text, found.relevant[query]) for query, text in found.asked.items()]
    if queries is None:
        return []
    try:
        lines = queries.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        hint = "a text file with a question in each line"
        raise Invalid("the options", (Finding("--queries", str(error), hint),)) from error
    return [Question(each.strip()) for each in lines if each.strip()]


def switch(where: Place, number: int, grace_s: float | None, *, as_json: bool) -> None:
    if where.url:
        body = {"generation": number, "grace_s": grace_s}
        _say(posted(where.url, _path(where, "switch"), body, tenant=where.tenant)["generation"], as_json=as_json)
    else:
        _say(_here(where, lambda each: each.switch(number, grace_s=grace_s)), as_json=as_json)


def roll_back(where: Place, *, as_json: bool) -> None:
    if where.url:
        _say(posted(where.url, _path(where, "rollback"), None, tenant=where.tenant)["generation"], as_json=as_json)
    else:
        _say(_here(where, lambda each: each.roll_back()), as_json=as_json)


def drop(where: Place, number: int, *, as_json: bool) -> None:
    if where.url:
        deleted(where.url, _path(where, f"generations/{number}"), tenant=where.tenant)
    else:
        _here(where, lambda each: each.drop(number, "dropped on the command line"))
    print_json({"dropped": number}) if as_json else print(f"generation {number} is dropped")


def verify(where: Place, deep: int, *, repair: bool, as_json: bool) -> int:
    """Compare, and return the exit code."""
    if where.url:
        body = {"repair": repair, "deep_max": deep}
        path = _path(where, "verify")
        found = msgspec.convert(
            posted(where.url, path, body, tenant=where.tenant, within_s=VERIFIED_WITHIN_S), Verified
        )
    else:
        found = _here(where, lambda each: each.verify(repair=repair, deep_max=deep))
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        _print_verified(found)
    differing = found.missing + found.extra + found.stale + found.damaged
    return 1 if differing > found.repaired else 0


def _print_verified(found: Verified) -> None:
    through = f"event {found.through:,}" if isinstance(found.through, int) else found.through
    looked = f"{found.passages:,} passages of generation {found.generation} up to {through}"
    print(f"{looked}; {found.deep:,} of them looked into")
    if found.is_equal:
        print("the index is what the log says")
        return
    for kind in ("missing", "extra", "stale", "damaged"):
        if count := getattr(found, kind):
            print(f"  {count:,} {kind}")
    for each in found.examples:
        print(printable(f"    {each.kind}: {each.id} of {each.tenant}"))
    print(f"{found.repaired:,} mended" if found.repaired else "mend them: --repair")


def _say(number: int, *, as_json: bool) -> None:
    print_json({"serving": number}) if as_json else print(f"generation {number} serves")


def _listed(where: Place) -> dict[str, Any]:
    if where.url:
        return remote_asked(where.url, _path(where, "generations"), tenant=where.tenant)
    return _here(where, _shown)


async def _shown(generations: "OpenGenerations") -> dict[str, Any]:
    states = await generations.list()
    rows = [
        {
            **{key: value for key, value in msgspec.to_builtins(each.generation).items() if key not in _INTERNAL},
            "done": round(each.done, 4),
            "behind": each.behind,
            "passages_per_s": each.passages_per_s,
            "left_out": each.left_out,
            "problem": each.problem,
        }
        for each in states
    ]
    serving = next(each.generation.number for each in states if each.generation.status == "serving")
    return {"collection": generations.name, "serving": serving, "generations": rows}


_INTERNAL = ("asked_by", "options", "per_s", "replaces")


def _here(where: Place, work: "Callable[[OpenGenerations], Awaitable[T]]") -> T:
    """Do something with the generations of a collection in a store that no app has open."""
    app, name = app_of(where)
    app.on_change[name] = "keep"  # whatever embedder the settings name: these commands are how it is changed
    require_store(where, app.name)

    async def running() -> T:
        async with app.running(settings(where.flags)) as live:
            await require_known(live, where, name)
            return await work(live.knowledge(name, tenant=where.tenant).generations)

    return owned(running)


def _path(where: Place, what: str) -> str:
    name = where.collection or (app_of(where)[1] if where.app is not None else named_at(where))
    return f"/v1/knowledge/{quote(name, safe='')}/{what}"
