"""`penstock conformance`: try the guarantees on your own servers, with real crashes, and print what holds."""

import json
import logging
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.arguments import Json, Store
from penstock.errors import Finding, Invalid
from penstock.settings import Settings, settings

if TYPE_CHECKING:
    from penstock.testing.conformance.report import Report

LOCAL = "local"
Log = Annotated[str | None, typer.Option(help="kafka://, nats:// or redis://HOST:PORT (default: through the store).")]
Vectors = Annotated[
    str | None, typer.Option(help="Where vectors are kept, if not in the store: see docs/knowledge.md.")
]
On = Annotated[str, typer.Option("--host", help="Where agents execute: local, or what the setting `host` names.")]


def conformance(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    log: Log = None,
    store: Store = None,
    state: Annotated[str | None, typer.Option("--state", help="The same as --store.")] = None,
    vectors: Vectors = None,
    host: On = LOCAL,
    kills: Annotated[int, typer.Option(min=1, max=8, help="How many lives of a worker end by SIGKILL.")] = 4,
    within_s: Annotated[float, typer.Option("--within", min=10, help="Seconds after which it is given up.")] = 180.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what it made on the servers, to look at it.")] = False,
    as_json: Json = False,
) -> None:
    """Try all guarantees (C1 to C11) on your servers: agents, workflows, machines, timers, knowledge, and real crashes.

    It works in a file, a schema and topics of its own, and removes them. About a minute; the exit code is 0 when all holds, 1
    when something is broken. Servers are those of the settings: penstock.toml, PENSTOCK_STORE, PENSTOCK_LOG, or the flags.
    """
    from penstock.runtime.process import run_tuned
    from penstock.testing.conformance.course import conform, steps_of
    from penstock.testing.conformance.plan import Plan

    chosen = _chosen({"log": log, "store": _one(store, state), "vectors": vectors}, host)
    plan = Plan(kills=kills)
    logging.getLogger("penstock").setLevel(logging.CRITICAL)  # poison and crashes are what is tried
    from penstock.cli.progress import bar

    with bar("conformance", steps_of(plan), is_shown=not as_json) as advance:

        def step(what: str) -> None:
            advance(1)
            if not as_json and not sys.stderr.isatty():
                print(f"conformance: {what}", file=sys.stderr, flush=True)

        report = run_tuned(conform(chosen, plan, step=step, within_s=within_s, keep=keep))
    if as_json:
        print(json.dumps(report.plain(), indent=2))
    else:
        _print(report)
    raise typer.Exit(0 if report.holds else 1)


def _one(store: str | None, state: str | None) -> str | None:
    if store and state and store != state:
        raise Invalid("the command", (Finding("--state", "differs from --store", "they are one setting: give one"),))
    return store or state


def _chosen(flags: dict[str, str | None], host: str) -> Settings:
    if host != LOCAL:
        if "host" not in {each.name for each in fields(Settings)}:
            raise Invalid("the command", (Finding("--host", f"{host!r} is not known", "use local"),))
        flags["host"] = host
    return settings(flags)


def _print(report: "Report") -> None:
    from penstock.testing.conformance.report import counted

    rows = [
        {"guarantee": f"{guarantee} {each.name}", "result": each.result, "counted": counted(each.counts)}
        for guarantee, each in report.rows.items()
    ]
    from penstock.cli.tables import screen_width, table_lines

    for line in table_lines([("guarantee", "result")], rows, screen_width(), note="counted"):
        print(line)
    for each in report.rows.values():
        for finding in each.findings:
            print(f"{each.guarantee} is broken: {finding}")
    where = ", ".join(f"{name}={value}" for name, value in report.settings.items()) or "the default store"
    print(
        f"\n{'all holds' if report.holds else 'NOT ALL HOLDS'} on {where}: {report.seconds:g} s, outcome {report.outcome}"
    )
    for each in report.notes:
        print(each)
