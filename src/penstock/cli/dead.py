"""The commands for dead letters: their options, and what each says of itself."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.arguments import AppFileBeside, Json, MaybeAppFile, RunId, Store, Tenant

if TYPE_CHECKING:
    from penstock.ports.state import DeadFilter

dead_app = typer.Typer(
    help="Events that agents gave up on: look at them, try them again, let them go.", no_args_is_help=True
)

Targets = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN]... [APP.PY]", help="Ids of runs; and the app, if you like.")
]
All = Annotated[bool, typer.Option("--all", help="All that the other options leave.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
By = Annotated[str | None, typer.Option(help="Who does it (default: the name of the user).")]
Why = Annotated[str, typer.Option(help="Why: it is kept with the run.")]
FILTERS: Mapping[str, Any] = {
    "agent": Annotated[str | None, typer.Option("--agent", help="Only those of this agent.")],
    "reason": Annotated[str | None, typer.Option(help="Only those whose reason has this in it.")],
    "since": Annotated[
        str | None, typer.Option(help="Only those that died since then: 30m, 2h, 7d, or 2026-11-26T09:00.")
    ],
    "tenant": Tenant,
    "limit": Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")],
}


def filtering(limit: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that say which dead letters are meant: it gets them as one filter, `which`."""

    def with_filters(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for name, each in inspect.signature(command).parameters.items() if name != "which"]
        defaults = dict.fromkeys(FILTERS) | {"limit": limit}
        kind = inspect.Parameter.KEYWORD_ONLY
        added = [
            inspect.Parameter(name, kind, default=defaults[name], annotation=each) for name, each in FILTERS.items()
        ]

        @wraps(command)
        def filtered(**options: Any) -> None:
            from penstock.cli import letters

            command(
                **{name: options.pop(name) for name in list(options) if name not in FILTERS},
                which=letters.filter_of(**options),
            )

        signature = inspect.Signature([*(each.replace(kind=kind) for each in own), *added])
        filtered.__signature__ = signature  # type: ignore[attr-defined]
        filtered.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
        return filtered

    return with_filters


@dead_app.command("list")
@filtering(limit=50)
def list_dead(which: "DeadFilter", file: MaybeAppFile = None, store: Store = None, as_json: Json = False) -> None:
    """List the newest events that agents gave up on, and why."""
    from penstock.cli import letters, looking

    letters.show_letters(looking.place(file, store, "dead", "list"), which, as_json=as_json)


@dead_app.command("show")
def show_dead(id: RunId, file: AppFileBeside = None, store: Store = None, as_json: Json = False) -> None:
    """Show a dead letter: its event, what its run recorded, and the events that led to it."""
    from penstock.cli import letters, looking

    run, app_file = looking.told_apart(id, file, what="RUN")
    letters.show_letter(looking.place(app_file, store, "dead", "show", run), run, as_json=as_json)


@dead_app.command("redrive")
@filtering(limit=10_000)
def redrive(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    which: "DeadFilter",
    targets: Targets = None,
    store: Store = None,
    everything: All = False,
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

    meant = letters.meant(targets, which, everything=everything)
    how = letters.How(by, why, fresh=fresh, event=event, is_sure=yes, as_json=as_json)
    letters.redrive_letters(meant, store, how)


@dead_app.command("drop")
@filtering(limit=10_000)
def drop(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    which: "DeadFilter",
    targets: Targets = None,
    store: Store = None,
    everything: All = False,
    by: By = None,
    why: Why = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let dead letters go; their runs stay, as failed, and say by whom they were dropped, and why."""
    from penstock.cli import letters

    meant = letters.meant(targets, which, everything=everything)
    letters.drop_letters(meant, store, letters.How(by, why, is_sure=yes, as_json=as_json))
