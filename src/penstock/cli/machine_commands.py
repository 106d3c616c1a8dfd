"""`penstock asl start`, `list`, `describe`, `history`, `stop`, `redrive`, `answer`: durable runs of an app's machines."""

from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.arguments import AppFileBeside, By, Json, Limit, OneTenant, Store, Tenant, Url

Machine = Annotated[str, typer.Argument(metavar="MACHINE", help="The state machine's name.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its ARN.")]
Token = Annotated[str, typer.Argument(metavar="TOKEN", help="What the task got as $$.Task.Token.")]
Error = Annotated[str | None, typer.Option(help="The name of the error.")]
Cause = Annotated[str | None, typer.Option(help="What led to it.")]
Input = Annotated[str, typer.Option("--input", metavar="JSON", help="The input, as JSON, or a file that holds it.")]
Name = Annotated[str | None, typer.Option(help="A name for the run: the same name twice is one run.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end, and print what it returned.")]


def start_run(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    machine: Machine,
    file: AppFileBeside = None,
    input: Input = "null",
    name: Name = None,
    wait: Wait = False,
    store: Store = None,
    url: Url = None,
    tenant: OneTenant = "default",
    as_json: Json = False,
) -> None:
    """Start a run of a state machine: over HTTP with --url while its app runs, else with APP.PY, here.

    Without --url and --wait it goes on when the app runs. Exit code 1 when it was waited for, and did not succeed.
    """
    from penstock.cli import machine_showing
    from penstock.cli.looking import told_apart

    which, app_file = told_apart(machine, file, what="MACHINE")
    asked = machine_showing.Asked(which, input, name, tenant, waits=wait)
    found = machine_showing.started(asked, app_file, store, url)
    machine_showing.show_execution(found, as_json=as_json)
    raise typer.Exit(1 if wait and found["status"] != "SUCCEEDED" else 0)


def list_runs(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    machine: Machine,
    file: AppFileBeside = None,
    status: Annotated[
        str | None, typer.Option(help="Only RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED ones.")
    ] = None,
    store: Store = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List the newest runs of a state machine, also beside the app that is running."""
    from penstock.cli import machine_showing
    from penstock.cli.looking import place, told_apart

    name, app_file = told_apart(machine, file, what="MACHINE")
    where = place(app_file, store, "asl", "list", name)
    machine_showing.show_executions(where, name, status, tenant, limit, as_json=as_json)


def describe_run(
    id: Run, file: AppFileBeside = None, store: Store = None, tenant: Tenant = None, as_json: Json = False
) -> None:
    """Show what became of a run: its input, its output, or why it failed."""
    from penstock.cli import machine_showing
    from penstock.cli.looking import place, told_apart

    run, app_file = told_apart(id, file, what="RUN")
    where = place(app_file, store, "asl", "describe", run)
    machine_showing.show_execution(machine_showing.execution(where.url, run, tenant), as_json=as_json)


def show_history(
    id: Run, file: AppFileBeside = None, store: Store = None, tenant: Tenant = None, as_json: Json = False
) -> None:
    """Show the events of a run, as AWS records them; --json prints what GetExecutionHistory answers."""
    from penstock.cli import machine_showing
    from penstock.cli.looking import place, told_apart

    run, app_file = told_apart(id, file, what="RUN")
    machine_showing.show_history(place(app_file, store, "asl", "history", run).url, run, tenant, as_json=as_json)


def stop_run(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    id: Run,
    file: AppFileBeside = None,
    error: Error = None,
    cause: Cause = None,
    store: Store = None,
    url: Url = None,
    tenant: OneTenant = "default",
) -> None:
    """Have a run end where it is: over HTTP with --url, else in the store; its app hears it, now or at its next start."""
    from penstock.cli import machine_saying
    from penstock.cli.looking import told_apart

    run, app_file = told_apart(id, file, what="RUN")
    became = machine_saying.stopped(machine_saying.Whom(run, app_file, store, url, tenant), error, cause)
    typer.echo(f"stopped: {run}{became}")


def redrive_run(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    id: Run,
    file: AppFileBeside = None,
    by: By = "",
    why: Annotated[str, typer.Option(help="Why: it is kept with the run.")] = "",
    store: Store = None,
    url: Url = None,
    tenant: OneTenant = "default",
) -> None:
    """Have a run that did not succeed go on: what failed, or was cut off, is done again, and what had ended stays.

    It works beside the app that is running; when none is, it is done at the next start.
    """
    from penstock.cli import machine_saying
    from penstock.cli.looking import told_apart

    run, app_file = told_apart(id, file, what="RUN")
    machine_saying.redriven(machine_saying.Whom(run, app_file, store, url, tenant), by, why)
    typer.echo(f"redriven: {run}: at once where the app runs, else at its next start")


def answer_task(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    token: Token,
    file: AppFileBeside = None,
    output: Annotated[str | None, typer.Option(metavar="JSON", help="It ended well, with this output.")] = None,
    error: Annotated[str | None, typer.Option(help="It failed, with this error.")] = None,
    cause: Cause = None,
    heartbeat: Annotated[bool, typer.Option("--heartbeat", help="It is still worked on.")] = False,
    store: Store = None,
    url: Url = None,
    tenant: OneTenant = "default",
) -> None:
    """Answer a task that waits for whoever has its token (`.waitForTaskToken`, activities): --output, --error or --heartbeat.

    Over HTTP with --url, else in the store; its app hears it, now or at its next start.
    """
    from penstock.cli import machine_saying

    said = _said(output, error, cause, heartbeat=heartbeat)
    app_file = None if file is None else Path(file)
    became = machine_saying.answered(machine_saying.Whom(token, app_file, store, url, tenant), said)
    typer.echo(f"{said['kind']}{became}")


def _said(output: str | None, error: str | None, cause: str | None, *, heartbeat: bool) -> dict[str, Any]:
    import json

    from penstock.cli.documents import json_given
    from penstock.errors import Finding, Invalid

    given = [output is not None, error is not None or cause is not None, heartbeat]
    if sum(given) != 1:
        problem = "is not given" if not any(given) else "is more than one thing"
        raise Invalid("the arguments", (Finding("the answer", problem, "--output JSON, --error NAME or --heartbeat"),))
    if output is not None:
        return {"kind": "success", "output": json.dumps(json_given(output, "--output"))}
    return {"kind": "heartbeat"} if heartbeat else {"kind": "failure", "error": error, "cause": cause}
