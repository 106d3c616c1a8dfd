"""What takes space in a store, as a table with bars, or one JSON value."""

import asyncio
from collections.abc import Mapping

from penstock.cli.looking import Place, print_json, print_table
from penstock.gateway.storage_shapes import pruned_shape, usage_shape
from penstock.layers.retrying_store import RetryingStore
from penstock.runtime.janitor import Everything
from penstock.runtime.tidying import Places, Round, Tidied
from penstock.settings import Settings, settings
from penstock.stores import opened_beside, system_clock, usage_of
from penstock.wiring import household_of, topology_of

BAR_CELLS = 20
COLUMNS = (("part", "rows", "bytes", "a day", "share"), ("part", "rows", "bytes", "share"), ("part", "bytes"))
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_HINTS = {
    "events": "App(retention=Retention(topics={...: Keep(days=..., count=...)}))",
    "runs": "@app.agent(retention=Retention(journals_days=..., runs_days=...))",
    "journals": "App(retention=Retention(journals_days=...))",
    "streams": "App(retention=Retention(journals_days=...))",
    "values": "@app.agent(retention=Retention(values_days=...)), or set what is not needed any more to None",
    "dead letters": "penstock dead redrive, or penstock dead drop: they are never pruned",
}


def show_usage(place: Place, *, as_json: bool) -> None:
    """Print what takes space, most first, and what would bound it."""
    usage = asyncio.run(usage_of(place.url))
    if as_json:
        print_json(usage_shape(usage).model_dump())
        return
    largest = max((each.bytes_used for each in usage.parts), default=1) or 1
    rows = [
        {
            "part": f"{each.kind} {each.name}".strip(),
            "rows": f"{each.rows:,}",
            "bytes": told_bytes(each.bytes_used),
            "a day": told_bytes(each.bytes_a_day) if each.bytes_a_day else "",
            "share": "#" * max(1, round(BAR_CELLS * each.bytes_used / largest)),
            "reason": "",
        }
        for each in usage.parts
    ]
    print_table(COLUMNS, rows)
    print(f"in all {told_bytes(usage.total_bytes)}, of which free {told_bytes(usage.free_bytes)}", end="")
    print(f"; log {told_bytes(usage.log_bytes)}")
    if usage.parts and usage.parts[0].kind in _HINTS:
        print(f"to bound {usage.parts[0].kind}: {_HINTS[usage.parts[0].kind]}")


def prune(place: Place, flags: Mapping[str, str | None], *, dry: bool, as_json: bool) -> None:
    """Remove what may go, or only say what that is; print it by kind. `flags`: of the app, as it runs."""
    done = asyncio.run(_prune(place, settings(flags), dry=dry))
    if as_json:
        print_json(pruned_shape(done, dry=dry).model_dump())
        return
    rows = [
        {
            "goes" if dry else "went": f"{kind} {name}".strip(),
            "rows": f"{gone.rows:,}",
            "bytes": told_bytes(gone.freed_bytes),
            "reason": "",
        }
        for (kind, name), gone in sorted(done.parts.items(), key=lambda each: -each[1].freed_bytes)
    ]
    print_table((("goes" if dry else "went", "rows", "bytes"),), rows)
    print(f"in all {told_bytes(done.freed_bytes)}", end="")
    print("; nothing was removed" if dry else "; the file becomes smaller little by little, the space is used again")


async def _prune(place: Place, chosen: Settings, *, dry: bool) -> Tidied:
    assert place.app is not None, "the command takes an app"
    # Agents that are a job elsewhere take nothing from this store: waiting for them would keep all that they take for ever.
    declared, clock = place.app.declared.here(chosen), system_clock()
    topology = topology_of(declared)
    async with opened_beside(place.url) as store:
        home = household_of(declared, topology, clock)
        everything = Everything(topology, await store.partitions())
        return await Round(RetryingStore(store, clock), clock, home, everything, dry=dry).run(Places(), rest=1.0)


def told_bytes(count: int) -> str:
    """Return a number of bytes as people read it."""
    size, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:  # noqa: PLR2004 - bytes in a KiB
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
