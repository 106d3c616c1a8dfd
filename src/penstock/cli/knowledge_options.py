"""The options that commands on knowledge share: which app, which collection, whose, and where that is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from penstock.cli.knowing import Place

AppOption = Annotated[
    Path | None,
    typer.Option("--app", metavar="APP.PY", help="The app whose knowledge it is (default: none is needed)."),
]
Collection = Annotated[
    str | None, typer.Option(help="The collection (default: the app's only one; without an app: documents).")
]
Whose = Annotated[str, typer.Option("--tenant", help="Whose it is: nothing of others is read or changed.")]


def place_of(
    app: Path | None,
    collection: str | None,
    lies: tuple[str | None, str | None],
    url: str | None,
    tenant: str = "default",
) -> "Place":
    """Return the collection that options mean; `lies`: its store, and its vectors where they are elsewhere."""
    from penstock.cli.knowing import Place

    store, vectors = lies
    return Place(app, collection, tenant, {"store": store, "vectors": vectors}, url)
