"""`penstock conformance`: try the guarantees on your own servers, with real crashes, and print what holds."""

import json
import logging
import sys
from collections.abc import Callable, Coroutine
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.arguments import Json, Store
from penstock.errors import Finding, Invalid
from penstock.settings import Settings, settings

if TYPE_CHECKING:
    from penstock.testing.conformance.plan import Plan
    from penstock.testing.conformance.report import Report

LOCAL, FLINK = "local", "flink"
Log = Annotated[str | None, typer.Option(help="kafka://, nats:// or redis://HOST:PORT (default: through the store).")]
Vectors = Annotated[
    str | None, typer.Option(help="Where vectors are kept, if not in the store: see docs/knowledge.md.")
]
On = Annotated[
    str,
    typer.Option(
        "--host",
        help="Where agents execute: local, ray://HOST:10001 and the like (docs/hosts.md), flink (docs/deploy/flink.md).",
    ),
]


def conformance(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    log: Log = None,
    store: Store = None,
    state: Annotated[str | None, typer.Option("--state", help="The same as --store.")] = None,
    vectors: Vectors = None,
    host: On = LOCAL,
    kills: Annotated[int, typer.Option(min=1, max=8, help="How many lives of a worker end by SIGKILL.")] = 4,
    within_s: Annotated[float, typer.Option("--within", min=10, help="Seconds after which it is given up.")] = 600.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what it made on the servers, to look at it.")] = False,
    as_json: Json = False,
) -> None:
    """Try all guarantees (C1 to C11) on your servers: agents, workflows, machines, timers, knowledge, and real crashes.

    It works in a file, a schema and topics of its own, and removes them. About a minute; the exit code is 0 when all holds, 1
    when something is broken. Servers are those of the settings: penstock.toml, PENSTOCK_STORE, PENSTOCK_LOG, or the flags.
    On a Ray of several machines, have TMPDIR name a folder that all of them share.
    """
    from penstock.runtime.process import run_tuned
    from penstock.testing.conformance.plan import Plan

    chosen = _chosen({"log": log, "store": _one(store, state), "vectors": vectors}, host)
    plan = Plan(kills=kills)
    course, steps = _course(chosen, plan)
    logging.getLogger("penstock").setLevel(logging.CRITICAL)  # poison and crashes are what is tried
    from penstock.cli.progress import bar

    with bar("conformance", steps, is_shown=not as_json) as advance:

        def step(what: str) -> None:
            advance(1)
            if not as_json and not sys.stderr.isatty():
                print(f"conformance: {what}", file=sys.stderr, flush=True)

        with redirect_stdout(sys.stderr):  # hosts' libraries print as they like; what is told here is the report
            report = run_tuned(course(chosen, plan, step=step, within_s=within_s, keep=keep))
    if as_json:
        print(json.dumps(report.plain(), indent=2))
    else:
        _print(report)
    raise typer.Exit(0 if report.is_as_said else 1)


def _course(chosen: Settings, plan: "Plan") -> "tuple[Callable[..., Coroutine[Any, Any, Report]], int]":
    """Return how it is tried where the settings say, and of how many steps that tells."""
    if chosen.host != FLINK:
        from penstock.testing.conformance.course import conform, steps_of

        return conform, steps_of(chosen, plan)
    given = [name for name in ("store", "vectors") if getattr(chosen, name)]
    findings = [Finding(f"--{each}", "is given with --host flink", "leave it out: a job has none") for each in given]
    if not chosen.log.startswith("kafka://"):
        findings.append(Finding("--log", "is no Kafka, which a job reads and writes", "give --log kafka://HOST:PORT"))
    if findings:
        raise Invalid("the command", tuple(findings))
    from penstock.testing.conformance.flink_course import conform_on_flink, steps_on_flink

    return conform_on_flink, steps_on_flink(plan)


def _one(store: str | None, state: str | None) -> str | None:
    if store and state and store != state:
        raise Invalid("the command", (Finding("--state", "differs from --store", "they are one setting: give one"),))
    return store or state


def _chosen(flags: dict[str, str | None], host: str) -> Settings:
    return settings(flags if host == LOCAL else {**flags, "host": host})


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
        if why := each.absent or each.limit:
            print(f"{each.guarantee} {each.result}: {why}")
    where = ", ".join(f"{name}={value}" for name, value in report.settings.items()) or "the default store"
    said = "all holds" if report.holds else "all is as it is said" if report.is_as_said else "NOT ALL HOLDS"
    print(f"\n{said} on {where}: {report.seconds:g} s, outcome {report.outcome or report.outcome_of_agents}")
    for each in report.notes:
        print(each)
