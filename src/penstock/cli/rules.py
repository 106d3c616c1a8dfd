"""`penstock events rules`: the rules of an app, and which of them an event matches."""

from typing import Annotated, Any

import typer

from penstock.cli.arguments import AppFile, Json, Limit

EventText = Annotated[
    str, typer.Option("--event", metavar="EVENT", help="Show only rules that match this event (JSON or file).")
]
Bus = Annotated[str, typer.Option(help="Show only the rules of this bus.")]
COLUMNS = (("rule", "bus", "state", "targets", "pattern"), ("rule", "bus", "state", "targets"))


def list_rules(file: AppFile, event: EventText = "", bus: Bus = "", limit: Limit = 50, as_json: Json = False) -> None:
    """List the rules of an app: what each matches, and where that goes. Also says what keeps the app from starting."""
    import json

    from penstock.cli.event_patterns import given
    from penstock.cli.loading import loaded_app
    from penstock.cli.tables import screen_width, table_lines
    from penstock.core.patterns.documents import read_event
    from penstock.core.rules.rules import Buses
    from penstock.wiring import topology_of

    app = loaded_app(file)
    topology_of(app.declared)
    rules = [rule for rule in app.rules.values() if bus in ("", rule.bus)]
    if event:
        document, buses = read_event(given(event)), Buses(rules)
        rules = [rule for rule in rules if rule in buses.matching(rule.bus, document)]
    told: list[dict[str, Any]] = [
        {
            "rule": rule.name,
            "bus": rule.bus,
            "state": "enabled" if rule.enabled else "disabled",
            "pattern": dict(rule.pattern),
            "targets": [{"to": target.to, "agent": rule.agent_of(target)} for target in rule.targets],
            "description": rule.description,
        }
        for rule in rules[:limit]
    ]
    if as_json:
        print(json.dumps(told))
        return
    rows = [
        {
            **{name: str(each[name]) for name in ("rule", "bus", "state")},
            "targets": ", ".join(target["to"] for target in each["targets"]),
            "pattern": json.dumps(each["pattern"]),
            "note": each["description"],
        }
        for each in told
    ]
    print("\n".join(table_lines(COLUMNS, rows, screen_width(), "note")) if rows else "none")
