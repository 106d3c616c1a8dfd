"""`penstock queues`: what waits for each agent of an app that runs, and why."""

from typing import Annotated, Any

import typer

from penstock.cli.arguments import Json, Limit

Url = Annotated[str, typer.Option(help="The address of the app that runs.")]
COLUMNS = (
    ("agent", "running", "waiting", "held", "in log", "oldest"),
    ("agent", "running", "waiting", "held", "in log"),
    ("agent", "running", "waiting"),
)


def queues(url: Url = "http://127.0.0.1:8080", limit: Limit = 50, as_json: Json = False) -> None:
    """Show what waits for each agent of a running app, of all tenants, the fullest first.

    waiting: for a place, a limit or a rate; held: for another event of the key, another attempt, or the end of debounce_s.
    """
    import json

    from penstock.cli.remote import asked
    from penstock.cli.tables import screen_width, table_lines

    found: list[dict[str, Any]] = asked(url, "/v1/queues")["queues"]
    found.sort(key=_fullness, reverse=True)
    if as_json:
        print(json.dumps(found[:limit]))
        return
    rows = [
        {
            "agent": each["agent"],
            **{name: str(each[name.replace(" ", "_")]) for name in ("running", "waiting", "held", "in log")},
            "oldest": _when(each["oldest_ms"]),
            "limits": ", ".join(each["limits"]),
        }
        for each in found[:limit]
    ]
    print("\n".join(table_lines(COLUMNS, rows, screen_width(), "limits") if rows else ["none"]))


def _fullness(queue: dict[str, Any]) -> int:
    return queue["waiting"] + queue["held"] + queue["in_log"]


def _when(at_ms: int | None) -> str:
    from datetime import UTC, datetime

    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
