"""The commands for dead letters: their options, and what each says of itself."""

from typing import Annotated

import typer

from penstock.cli.arguments import AppFileBeside, Json, MaybeAppFile, RunId, Store, Tenant

dead_app = typer.Typer(
    help="Events that agents gave up on: look at them, try them again, let them go.", no_args_is_help=True
)

Targets = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN]... [APP.PY]", help="Ids of runs; and the app, if you like.")
]
AgentName = Annotated[str | None, typer.Option("--agent", help="Only those of this agent.")]
Reason = Annotated[str | None, typer.Option(help="Only those whose reason has this in it.")]
Since = Annotated[str | None, typer.Option(help="Only those that died since then: 30m, 2h, 7d, or 2026-11-26T09:00.")]
All = Annotated[bool, typer.Option("--all", help="All that the other options leave.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
By = Annotated[str | None, typer.Option(help="Who does it (default: the name of the user).")]
Why = Annotated[str, typer.Option(help="Why: it is kept with the run.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]


@dead_app.command("list")
def list_dead(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: MaybeAppFile = None,
    store: Store = None,
    agent: AgentName = None,
    reason: Reason = None,
    since: Since = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List the newest events that agents gave up on, and why."""
    from penstock.cli import letters, looking

    which = letters.filter_of(agent, reason, since, tenant, limit)
    letters.show_letters(looking.place(file, store, "dead", "list"), which, as_json=as_json)


@dead_app.command("show")
def show_dead(id: RunId, file: AppFileBeside = None, store: Store = None, as_json: Json = False) -> None:
    """Show a dead letter: its event, what its run recorded, and the events that led to it."""
    from penstock.cli import letters, looking

    run, app_file = looking.told_apart(id, file, what="RUN")
    letters.show_letter(looking.place(app_file, store, "dead", "show", run), run, as_json=as_json)


@dead_app.command("redrive")
def redrive(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    targets: Targets = None,
    store: Store = None,
    everything: All = False,
    agent: AgentName = None,
    reason: Reason = None,
    since: Since = None,
    tenant: Tenant = None,
    limit: Limit = 10_000,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Without what was recorded: effects happen again, with the same keys.")
    ] = False,
    event: Annotated[
        str | None,
        typer.Option("--input", help="JSON of an edited event: a new run handles it (one RUN, with APP.PY)."),
    ] = None,
    by: By = None,
    why: Why = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have runs tried again from what they recorded, with as many attempts as a new one has.

    It works beside the app that is running; when none is, it is done at the next start.
    """
    from penstock.cli import letters

    which = letters.filter_of(agent, reason, since, tenant, limit)
    meant = letters.meant(targets, which, everything=everything)
    how = letters.How(by, why, fresh=fresh, event=event, is_sure=yes, as_json=as_json)
    letters.redrive_letters(meant, store, how)


@dead_app.command("drop")
def drop(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    targets: Targets = None,
    store: Store = None,
    everything: All = False,
    agent: AgentName = None,
    reason: Reason = None,
    since: Since = None,
    tenant: Tenant = None,
    limit: Limit = 10_000,
    by: By = None,
    why: Why = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let dead letters go; their runs stay, as failed, and say by whom they were dropped, and why."""
    from penstock.cli import letters

    which = letters.filter_of(agent, reason, since, tenant, limit)
    meant = letters.meant(targets, which, everything=everything)
    letters.drop_letters(meant, store, letters.How(by, why, is_sure=yes, as_json=as_json))
