"""`penstock memory`: what agents remember, looked at, recalled and forgotten, with the app that runs or while none does."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import Json, Store, Url

memory_app = typer.Typer(help="What agents remember: list it, recall it, forget it.", no_args_is_help=True)
App = Annotated[
    Path | None, typer.Option("--app", metavar="APP.PY", help="The app whose memory it is, while it does not run.")
]
Name = Annotated[str | None, typer.Option("--memory", help="The memory (default: the app's only one).")]
Whose = Annotated[str, typer.Option("--tenant", help="Whose it is: nothing of others is read or changed.")]
Scope = Annotated[str | None, typer.Option(help="session, user, agent or tenant: only what reaches by that one.")]
Session = Annotated[str, typer.Option(help="Of which session.")]
User = Annotated[str, typer.Option(help="About whom.")]
Agent = Annotated[str, typer.Option(help="Of which agent.")]


@memory_app.command("list")
def list_memories(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    memory: Name = None,
    scope: Scope = None,
    session: Session = "",
    user: User = "",
    agent: Agent = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 50,
    app: App = None,
    tenant: Whose = "default",
    store: Store = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the newest memories: of those named, or of all of the tenant."""
    from penstock.cli import remembering as work

    whose = {"scope": scope, "session": session, "user": user, "agent": agent}
    work.show_list(work.Place(app, memory, tenant, store, url), {**whose, "limit": limit}, as_json=as_json)


@memory_app.command("recall")
def recall(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What somebody is to be reminded of.")],
    memory: Name = None,
    scope: Scope = None,
    session: Session = "",
    user: User = "",
    agent: Agent = "",
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many at most.")] = 5,
    summarised: Annotated[bool, typer.Option("--summarised", help="Also what a summary stands for.")] = False,
    app: App = None,
    tenant: Whose = "default",
    store: Store = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Recall as the session, user or agent that is named would: by meaning, recency and importance."""
    from penstock.cli import remembering as work

    whose = {"scope": scope, "session": session, "user": user, "agent": agent}
    asked = {**whose, "limit": limit, "summarised": summarised}
    work.show_recalled(work.Place(app, memory, tenant, store, url), query, asked, as_json=as_json)


@memory_app.command("forget")
def forget(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The memories' ids, as `list` says them.")],
    memory: Name = None,
    app: App = None,
    tenant: Whose = "default",
    store: Store = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Remove memories, by their ids. All that is about a person goes by `penstock knowledge forget`."""
    from penstock.cli import remembering as work

    work.forget(work.Place(app, memory, tenant, store, url), ids, as_json=as_json)
