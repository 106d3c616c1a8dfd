"""`penstock runs query`: what a workflow run exposes, from its store."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import Json, RunId, Store, Tenant


def query_run(
    id: RunId,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What it exposes (default: show all).")] = None,
    file: Annotated[str | None, typer.Argument(metavar="APP.PY", help="The app whose store to look at.")] = None,
    store: Store = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Show what a workflow run exposes of itself, while it works and when it has ended."""
    from penstock.cli import looking

    given = [each for each in (id, name, file) if each is not None]
    files = [Path(each) for each in given if looking.is_file(each)]
    names = [each for each in given if not looking.is_file(each)]
    if not 1 <= len(names) <= 2 or len(files) > 1:  # noqa: PLR2004 - a run and a name
        from penstock.errors import Finding, Invalid

        raise Invalid("the arguments", (Finding("RUN", f"is one of {', '.join(given)}", "give RUN [NAME] [APP.PY]"),))
    place = looking.place(files[0] if files else None, store, "runs", "query", *names)
    looking.show_queries(place, names[0], names[1] if names[1:] else None, tenant, as_json=as_json)
