"""`penstock asl run` and `penstock asl test-state`: a machine run in memory, and one of its states tried alone."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.arguments import Json
from penstock.cli.documents import file_bytes, json_given, json_in

if TYPE_CHECKING:
    from penstock.core.asl.happenings import ScheduleTask
    from penstock.core.asl.run import Failure, Run
    from penstock.ports.objects import Objects

PLAIN = ("status", "error", "cause", "nextState", "lasted")
"""Fields that are texts of ours or of the definition, no JSON."""
COLUMNS = (("id", "after", "type", "state"), ("id", "type", "state"))
ROLE = "arn:aws:iam::111111111111:role/role"
"""The role under which functions of one's own are called: AWS wants one, and nothing here asks what it may do."""

MachineFile = Annotated[Path, typer.Argument(metavar="FILE", help="A state machine or a single state: JSON or YAML.")]
Input = Annotated[str, typer.Option(metavar="JSON", help="The input, as JSON, or a file that holds it.")]
Functions = Annotated[
    Path | None,
    typer.Option(help="What tasks call: a Python file with functions, or JSON: {NAME: {return: ...} or {throw: ...}}."),
]
ObjectsPlace = Annotated[
    str | None,
    typer.Option(
        "--objects",
        metavar="PLACE",
        help="Where Maps read and write: a folder whose folders are the buckets, s3: or s3:http://HOST:PORT.",
    ),
]


def run_machine(
    file: MachineFile,
    input: Input = "{}",
    functions: Functions = None,
    objects: ObjectsPlace = None,
    history: Annotated[bool, typer.Option("--history", help="Show the events, as AWS records them.")] = False,
    as_json: Json = False,
) -> None:
    """Run a state machine in memory, in no time: waits, retries and timeouts pass at once. Nothing of it is kept.

    Tasks call functions, by the name of the state, of the Lambda function, agent, workflow or activity, or by SERVICE:ACTION.
    With --json and --history, what is printed can be drawn: penstock asl draw FILE --history THAT.
    Exit code 1 unless it succeeded.
    """
    import json

    from penstock.core.asl.happenings import Started
    from penstock.core.asl.history import aws_shaped
    from penstock.core.asl.program import compiled
    from penstock.core.asl.validation import parse
    from penstock.errors import Refused
    from penstock.testing.asl_functions import FunctionWorld
    from penstock.testing.jumping_world import BEGIN_MS, Endless

    program = compiled(parse(file_bytes(file)))
    started = Started(
        at_ms=BEGIN_MS, input=json_given(input, "--input"), name="run", machine=file.name.partition(".")[0]
    )
    try:
        with _opened(objects) as place:
            run = FunctionWorld(_functions(functions), place).run(program, started)
    except Endless as error:
        raise Refused(f"{file} does not end", str(error)) from error
    answer = _result(run)
    if as_json:
        events = {"events": [aws_shaped(each) for each in run.history.events]} if history else {}
        print(json.dumps({**answer, **events}, ensure_ascii=False))
    else:
        _print_fields({**answer, "lasted": f"{(run.now_ms - BEGIN_MS) / 1000:g} s"})
        if history:
            _print_history(run)
    raise typer.Exit(0 if run.status == "SUCCEEDED" else 1)


def try_one_state(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: MachineFile,
    state: Annotated[str | None, typer.Option(help="Which state of a machine, at any depth.")] = None,
    input: Input = "{}",
    mock_result: Annotated[str | None, typer.Option(metavar="JSON", help="What the state's work is to give.")] = None,
    mock_error: Annotated[str | None, typer.Option(metavar="ERROR", help="The error it is to fail with.")] = None,
    mock_cause: Annotated[str, typer.Option(metavar="TEXT", help="The cause of that.")] = "",
    field_validation: Annotated[
        str, typer.Option(metavar="MODE", help="How a mocked result is validated: STRICT, PRESENT or NONE.")
    ] = "STRICT",
    level: Annotated[
        str, typer.Option(metavar="LEVEL", help="INFO, DEBUG or TRACE: the last two show stages.")
    ] = "DEBUG",
    retries: Annotated[int | None, typer.Option(min=0, help="How often it was tried again already.")] = None,
    failed_iterations: Annotated[int | None, typer.Option(min=0, help="How many of a Map's iterations failed.")] = None,
    reader_data: Annotated[str | None, typer.Option(metavar="TEXT", help="What a Map's ItemReader is to read.")] = None,
    variables: Annotated[str, typer.Option(metavar="JSON", help="The variables it sees.")] = "{}",
    context: Annotated[str | None, typer.Option(metavar="JSON", help="The context object it sees.")] = None,
    functions: Functions = None,
    as_json: Json = False,
) -> None:
    """Try one state alone, as AWS's TestState does: what it makes of its input, stage by stage, and where it leads.

    A task needs a mock, or a function of yours. Mocked results are validated against what the service's API answers.
    Exit code 1 when the state failed: not when it would be tried again, or was caught.
    """
    import json
    import sys

    from penstock.adapters.service_shapes import shapes_of
    from penstock.core.asl.trial import TrialRefused
    from penstock.core.asl.trying import try_state
    from penstock.errors import Finding, Invalid
    from penstock.testing.jumping_world import BEGIN_MS

    mock = {"result": mock_result, "fieldValidationMode": field_validation if mock_result is not None else None}
    error = {"errorOutput": {"error": mock_error, "cause": mock_cause}} if mock_error is not None else {}
    request = {
        "definition": file_bytes(file),
        "stateName": state,
        "input": json_given(input, "--input"),
        "inspectionLevel": level,
        "mock": _without_none({**mock, **error}),
        "stateConfiguration": _without_none(
            {
                "retrierRetryCount": retries,
                "mapIterationFailureCount": failed_iterations,
                "mapItemReaderData": reader_data,
            }
        ),
        "variables": json_given(variables, "--variables"),
        "context": None if context is None else json_given(context, "--context"),
        "roleArn": None if functions is None else ROLE,
    }
    try:
        answer = try_state(request, shapes_of=shapes_of, perform=_performing(functions), now_ms=BEGIN_MS)
    except TrialRefused as refused:
        raise Invalid(f"this test of a state ({refused.code})", (Finding("/", refused.message),)) from refused
    if "unchecked" in answer:
        problem = (
            f"{answer['unchecked']} is no service that we know the answers of: the mocked result was not validated"
        )
        print(f"penstock: {problem}", file=sys.stderr)
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _print_fields({**answer, "unchecked": None, "inspectionData": None, **answer.get("inspectionData", {})})
    raise typer.Exit(1 if answer["status"] == "FAILED" else 0)


def _functions(file: Path | None) -> Mapping[str, Callable[[Any], Any]]:
    from penstock.cli.loading import loaded_functions
    from penstock.testing.asl_functions import described_functions

    if file is None:
        return {}
    return loaded_functions(file) if file.suffix == ".py" else described_functions(json_in(file))


def _performing(file: Path | None) -> "Callable[[ScheduleTask], Any | Failure] | None":
    from penstock.testing.asl_functions import answered

    if file is None:
        return None
    functions = _functions(file)
    return lambda task: answered(functions, task)


@contextmanager
def _opened(objects: str | None) -> "Generator[Objects | None]":
    from penstock.outside import open_objects

    if objects is None:
        yield None
        return
    with open_objects(objects if objects.startswith(("s3:", "file:")) else f"file:{objects}") as opened:
        yield opened


def _result(run: "Run") -> dict[str, Any]:
    if run.failure is None:
        return {"status": run.status, "output": run.result}
    told = {"error": run.failure.error, "cause": run.failure.cause}
    return {"status": run.status, **_without_none(told)}


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _print_fields(fields: Mapping[str, Any]) -> None:
    """Print what there is; null is shown as an output, and nowhere else."""
    import json

    from penstock.cli.tables import field_lines, screen_width

    told = {name: value for name, value in fields.items() if value is not None or name == "output"}
    texts = {
        name: str(value) if name in PLAIN else json.dumps(value, ensure_ascii=False) for name, value in told.items()
    }
    print("\n".join(field_lines(texts, screen_width())))


def _print_history(run: "Run") -> None:
    import json

    from penstock.cli.tables import screen_width, table_lines
    from penstock.testing.jumping_world import BEGIN_MS

    rows: list[dict[str, str]] = []
    for event in run.history.events:
        told = {key: value for key, value in event.details.items() if key != "name" and value is not None}
        rows.append(
            {
                "id": str(event.id),
                "after": f"{(event.at_ms - BEGIN_MS) / 1000:g} s",
                "type": event.type,
                "state": str(event.details.get("name", "")),
                "note": json.dumps(told, ensure_ascii=False, default=dict) if told else "",
            }
        )
    print("\n".join(table_lines(COLUMNS, rows, screen_width(), "note")))
