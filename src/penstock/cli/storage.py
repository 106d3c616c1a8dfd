"""What takes space in a store, as a table with bars, or one JSON value."""

import asyncio

from penstock.cli.looking import Place, print_json, print_table
from penstock.core.agents.usage import Usage, Used
from penstock.stores import usage_of

BAR_CELLS = 20
COLUMNS = (("part", "rows", "bytes", "a day", "share"), ("part", "rows", "bytes", "share"), ("part", "bytes"))
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_HINTS = {
    "events": "App(retention=Retention(topics={...: Keep(days=..., count=...)}))",
    "runs": "@app.agent(retention=Retention(journals_days=..., runs_days=...))",
    "journals": "App(retention=Retention(journals_days=...))",
    "streams": "App(retention=Retention(journals_days=...))",
    "values": "set what is not needed any more to None: values are never pruned",
    "dead letters": "penstock dead redrive, or penstock dead drop: they are never pruned",
}


def show_usage(place: Place, *, as_json: bool) -> None:
    """Print what takes space, most first, and what would bound it."""
    usage = asyncio.run(usage_of(place.url))
    if as_json:
        print_json(_shape(usage))
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


def told_bytes(count: int) -> str:
    """Return a number of bytes as people read it."""
    size, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:  # noqa: PLR2004 - bytes in a KiB
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _shape(usage: Usage) -> dict[str, object]:
    return {
        "total_bytes": usage.total_bytes,
        "free_bytes": usage.free_bytes,
        "log_bytes": usage.log_bytes,
        "parts": [_part(each) for each in usage.parts],
    }


def _part(used: Used) -> dict[str, object]:
    numbers = {"rows": used.rows, "bytes": used.bytes_used, "bytes_a_day": used.bytes_a_day}
    return {"kind": used.kind, "name": used.name, **numbers, "first_ms": used.first_ms, "last_ms": used.last_ms}
