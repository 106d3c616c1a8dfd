"""The commands for what a store holds: `penstock storage`, and `penstock storage prune`."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from penstock.cli.arguments import AppFile, Json, Log, MaybeAppFile, Store, StreamsHost

_SHOW = "show"


class Showing(TyperGroup):
    """A group that shows when it is not told what else to do: `penstock storage app.py`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = args and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else [_SHOW, *args])


storage_app = typer.Typer(cls=Showing, help="What takes space in a store, and what may go.")


@storage_app.command(_SHOW)
def show_storage(file: MaybeAppFile = None, store: Store = None, as_json: Json = False) -> None:
    """Show what takes space in a store, also beside the app that is running, and what would bound it."""
    from penstock.cli import looking, storage

    storage.show_usage(looking.place(file, store, "storage"), as_json=as_json)


@storage_app.command("prune")
def prune_storage(
    file: AppFile,
    store: Store = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    streams: StreamsHost = None,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Remove now what the app's retention lets go, as its janitor does now and then; into its archive first, if it has one.

    It works beside the app that is running, and takes the settings that this one has: with --streams flink the job's agents
    keep nothing here.
    """
    from penstock.cli import looking, storage

    where = looking.place(file, store, "storage", "prune", str(file))
    storage.prune(where, {"streams": streams, "log": log}, dry=dry, as_json=as_json)
