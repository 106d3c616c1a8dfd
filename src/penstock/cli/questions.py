"""`penstock questions`: steps whose outcome nobody knows, and people who decide about them."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from penstock.cli.arguments import AppFileBeside, By, Json, Limit, MaybeAppFile, OneTenant, RunId, Store, Tenant, Url

questions_app = typer.Typer(help="Steps that wait for a person to decide.", no_args_is_help=True)
OUTCOMES = ("done", "retry", "fail")
Step = Annotated[str, typer.Argument(metavar="STEP", help="The step, as `questions list` names it.")]
Outcome = Annotated[str, typer.Argument(metavar="done|retry|fail", help="What you know of it by now.")]
Value = Annotated[str | None, typer.Option(help="What the tool returned, as JSON, when it is done.")]


@questions_app.command("list")
def list_questions(
    file: MaybeAppFile = None, store: Store = None, tenant: Tenant = None, limit: Limit = 50, as_json: Json = False
) -> None:
    """List steps of which nobody knows whether they happened, and which wait for a person."""
    from penstock.cli import looking

    looking.show_questions(looking.place(file, store, "questions", "list"), tenant, limit, as_json=as_json)


@questions_app.command("answer")
def answer(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    run: RunId,
    step: Step,
    outcome: Outcome,
    file: AppFileBeside = None,
    value: Value = None,
    by: By = "",
    url: Url = None,
    store: Store = None,
    tenant: OneTenant = "default",
) -> None:
    """Decide about a step: over HTTP with --url, else in the store; its app hears it, now or at its next start."""
    decided, became = _decided(step, outcome, value, by), ""
    if url is not None:
        from penstock.cli.remote import posted

        posted(url, f"/v1/runs/{quote(run, safe=':')}/decisions", decided, tenant=tenant)
    else:
        import asyncio
        from pathlib import Path

        from penstock.app import Running
        from penstock.cli.looking import place
        from penstock.cli.owning import say
        from penstock.core.agents.control import Decide
        from penstock.runtime.control import NAME

        async def noted(live: Running) -> None:
            said = decided["step"], decided["outcome"], decided["value"]
            await live.decide(run, *said, by=decided["by"], tenant=tenant)
            await live.engine.caught_up(NAME)

        where = place(None if file is None else Path(file), store, "questions", "answer", "...").url
        became = asyncio.run(say(where, Decide.checked({"run_id": run, **decided}), tenant, noted))
    typer.echo(f"decided: {step} of {run} is {outcome}{became}")


def _decided(step: str, outcome: str, value: str | None, by: str) -> dict[str, Any]:
    from penstock.errors import Finding, Invalid

    findings: list[Finding] = []
    if outcome not in OUTCOMES:
        findings.append(Finding("outcome", f"is {outcome!r}", f"one of {', '.join(OUTCOMES)}"))
    returned: Any = None
    try:
        returned = None if value is None else json.loads(value)
    except ValueError as error:
        findings.append(Finding("--value", f"is not JSON ({error})", "a text needs quotes: '\"text\"'"))
    if findings:
        raise Invalid("the arguments", tuple(findings))
    return {"step": step, "outcome": outcome, "value": returned, "by": by}
