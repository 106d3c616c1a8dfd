"""`penstock approvals`: what waits for a person to approve it, and answers."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from penstock.cli.arguments import AppFileBeside, By, Json, Limit, MaybeAppFile, OneTenant, Store, Tenant, Url

approvals_app = typer.Typer(help="What waits for a person to approve it.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(metavar="ID", help="The approval, as `approvals list` names it.")]
Approve = Annotated[bool, typer.Option("--approve", help="It is approved; --value alone says so too.")]
Reject = Annotated[bool, typer.Option("--reject", help="It is rejected.")]
Value = Annotated[str | None, typer.Option(help="The value that is asked for, as JSON.")]
Reason = Annotated[str, typer.Option(help="Why; the run gets it.")]


@approvals_app.command("list")
def list_approvals(
    file: MaybeAppFile = None, store: Store = None, tenant: Tenant = None, limit: Limit = 50, as_json: Json = False
) -> None:
    """List what waits for a person to approve it, also beside the app that is running."""
    from penstock.cli import looking

    looking.show_approvals(looking.place(file, store, "approvals", "list"), tenant, limit, as_json=as_json)


@approvals_app.command("answer")
def answer(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    id: Id,
    file: AppFileBeside = None,
    approve: Approve = False,
    reject: Reject = False,
    value: Value = None,
    by: By = "",
    reason: Reason = "",
    url: Url = None,
    store: Store = None,
    tenant: OneTenant = "default",
) -> None:
    """Approve or reject: over HTTP with --url, else in the store; its app hears it, now or at its next start.

    Without its app the type of a value is checked when the run goes on: it asks again for what does not fit.
    """
    from penstock.cli.looking import told_apart

    approval, app_file = told_apart(id, file, what="ID")
    said, became = _said(value, by, reason, approve=approve, reject=reject), ""
    if url is not None:
        from penstock.cli.remote import posted

        posted(url, f"/v1/approvals/{quote(approval, safe=':')}", said, tenant=tenant)
    else:
        import asyncio

        from penstock.app import Running
        from penstock.cli.looking import place
        from penstock.cli.owning import say
        from penstock.core.agents.approvals import parts_of
        from penstock.core.agents.control import Decide

        async def answered(live: Running) -> None:
            if said["approved"]:
                await live.approve(approval, said["value"], by=by, reason=reason, tenant=tenant)
            else:
                await live.reject(approval, by=by, reason=reason, tenant=tenant)

        run, step = parts_of(approval)
        decided = {"outcome": "approve" if said["approved"] else "reject", "by": by, "reason": reason}
        decision = Decide.checked({"run_id": run, "step": step, "value": said["value"], **decided})
        where = place(app_file, store, "approvals", "answer", approval).url
        became = asyncio.run(say(where, decision, tenant, answered))
    typer.echo(f"{'approved' if said['approved'] else 'rejected'}: {approval}{became}")


def _said(value: str | None, by: str, reason: str, *, approve: bool, reject: bool) -> dict[str, Any]:
    from penstock.errors import Finding, Invalid

    findings: list[Finding] = []
    given: Any = None
    try:
        given = None if value is None else json.loads(value)
    except ValueError as error:
        findings.append(Finding("--value", f"is not JSON ({error})", "a text needs quotes: '\"text\"'"))
    if reject and (approve or value is not None):
        findings.append(Finding("--reject", "is given beside --approve or --value", "give one of them"))
    if not (approve or reject or value is not None):
        findings.append(Finding("the answer", "is not given", "--approve, --reject or --value JSON"))
    if findings:
        raise Invalid("the arguments", tuple(findings))
    return {"approved": not reject, "value": given, "by": by, "reason": reason}
