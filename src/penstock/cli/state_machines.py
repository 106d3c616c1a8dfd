"""`penstock asl`: state machines of the Amazon States Language, validated, drawn, run and tried."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.arguments import Json, Store, Tenant
from penstock.cli.asl_cases import try_machines
from penstock.cli.asl_runs import run_machine, try_one_state
from penstock.cli.documents import file_bytes, json_in
from penstock.cli.machine_commands import (
    answer_task,
    describe_run,
    list_runs,
    redrive_run,
    show_history,
    start_run,
    stop_run,
)

if TYPE_CHECKING:
    from penstock.core.asl.drawing.graph import Graph

asl_app = typer.Typer(help="State machines of the Amazon States Language.", no_args_is_help=True)
asl_app.command("run")(run_machine)
asl_app.command("test-state")(try_one_state)
asl_app.command("test")(try_machines)
asl_app.command("start")(start_run)
asl_app.command("list")(list_runs)
asl_app.command("describe")(describe_run)
asl_app.command("history")(show_history)
asl_app.command("stop")(stop_run)
asl_app.command("redrive")(redrive_run)
asl_app.command("answer")(answer_task)
COLUMNS = (("severity", "path", "rule"), ("path", "rule"), ("path",))

Definitions = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Definitions, as JSON or YAML.")]
Definition = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A definition, as JSON or YAML; with --run, the app: APP.PY.")
]
Express = Annotated[bool, typer.Option("--express", help="The machine is to be an express one.")]


class Format(StrEnum):
    """What a machine can be drawn as."""

    MERMAID = "mermaid"
    SVG = "svg"
    PNG = "png"


@asl_app.command("validate")
def validate_files(
    files: Definitions,
    express: Express = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Json = False,
) -> None:
    """Say all that is wrong with definitions: errors, which AWS refuses, and warnings, which hardly mean what they say.

    Exit code 1 when there is an error in one of the files.
    """
    import json

    from penstock.core.asl.findings import Severity
    from penstock.core.asl.validation import validate

    found = [(file, each) for file in files for each in validate(file_bytes(file), express=express)]
    errors = [each for _, each in found if each.severity is Severity.ERROR]
    if as_json:
        told = [
            {
                "file": str(file),
                "severity": each.severity,
                "path": each.path,
                "rule": each.rule,
                "code": each.code,
                "problem": each.problem,
                "hint": each.hint,
            }
            for file, each in found
        ]
        print(json.dumps({"errors": len(errors), "warnings": len(found) - len(errors), "findings": told}, indent=2))
    else:
        from penstock.cli.tables import screen_width, table_lines

        for file in files:
            rows = [
                {
                    "severity": str(each.severity),
                    "path": each.path,
                    "rule": each.rule,
                    "note": f"{each.problem}{f': {each.hint}' if each.hint else ''}",
                }
                for where, each in found
                if where == file
            ]
            if rows:
                print(f"{file}:")
                print("\n".join(table_lines(COLUMNS, rows, screen_width(), "note")))
        print(f"{_counted(len(errors), 'error')}, {_counted(len(found) - len(errors), 'warning')}")
    raise typer.Exit(1 if errors or (strict and found) else 0)


@asl_app.command("draw")
def draw_file(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: Definition = None,
    format: Annotated[
        Format | None, typer.Option(help="mermaid, svg or png (default: as the end of --out says, or mermaid).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write (default: print it).")] = None,
    history: Annotated[
        Path | None, typer.Option(help="What GetExecutionHistory answered: draw that run, with times and errors.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="A durable run, from its store: the path it took, with times and errors.")
    ] = None,
    store: Store = None,
    tenant: Tenant = None,
) -> None:
    """Draw a state machine, or a run of it, as Mermaid, SVG or PNG (PNG needs the extra `pictures`)."""
    from penstock.core.asl.drawing.graph import graph_of
    from penstock.core.asl.drawing.visits import history_of, visits_of
    from penstock.core.asl.validation import parse
    from penstock.errors import Finding, Invalid, Refused

    chosen = format or _ending(out)
    if chosen is Format.PNG and out is None:
        raise Refused("a PNG is not printed", "name the file to write: --out machine.png")
    if run is not None:
        graph, title = _graph_of_run(run, file, store, tenant), run
    elif file is None:
        raise Invalid("the arguments", (Finding("FILE", "is not given", "a definition, or --run RUN"),))
    else:
        visits = None if history is None else visits_of(history_of(json_in(history)))
        graph, title = graph_of(parse(file_bytes(file)), visits), file.name
    drawn = _drawn(graph, chosen, title)
    if out is None:
        print(drawn.decode(), end="")
    else:
        out.write_bytes(drawn)


def _graph_of_run(run: str, file: Path | None, store: str | None, tenant: str | None) -> "Graph":
    from penstock.cli import machine_showing
    from penstock.cli.looking import place
    from penstock.core.asl.drawing.graph import graph_of
    from penstock.core.asl.drawing.visits import history_of, visits_of

    url = place(file, store, "asl", "draw", "--run", run).url
    visits = visits_of(history_of(machine_showing.events(url, run, tenant)))
    return graph_of(machine_showing.definition(url, run, tenant), visits)


def _drawn(graph: "Graph", chosen: Format, title: str) -> bytes:
    from penstock.core.asl.drawing.layout import laid_out
    from penstock.core.asl.drawing.mermaid import mermaid_text
    from penstock.core.asl.drawing.png import png_bytes
    from penstock.core.asl.drawing.svg import svg_text

    match chosen:
        case Format.MERMAID:
            return mermaid_text(graph).encode()
        case Format.SVG:
            return svg_text(laid_out(graph), title).encode()
        case Format.PNG:
            return png_bytes(laid_out(graph))


def _ending(out: Path | None) -> Format:
    ending = "" if out is None else out.suffix.lstrip(".").lower()
    return Format(ending) if ending in set(Format) else Format.MERMAID


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
