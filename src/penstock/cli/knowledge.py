"""`penstock knowledge`: collections that can be searched, put into and taken out of, with an app or without one."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.adapting import adapt
from penstock.cli.arguments import Embedder, Json, Store, Url, Vectors
from penstock.cli.evaluating import evaluate
from penstock.cli.forgetting import add_forgetting
from penstock.cli.generations import add_generations
from penstock.cli.knowledge_options import AppOption, Collection, Whose
from penstock.cli.knowledge_status import show_status
from penstock.cli.searching import search_knowledge

knowledge_app = typer.Typer(help="What can be searched: change it, search it, measure it.", no_args_is_help=True)
knowledge_app.command("evaluate")(evaluate)
knowledge_app.command("adapt")(adapt)
knowledge_app.command("search")(search_knowledge)
add_forgetting(knowledge_app)
knowledge_app.command("status")(show_status)
add_generations(knowledge_app)


@knowledge_app.command("list")
def list_collections(
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the collections that something was put into; with --url, those of the app that runs there."""
    from penstock.cli import knowing

    knowing.list_collections(knowing.Place(app, None, tenant, {"store": store}, url), as_json=as_json)


@knowledge_app.command("create")
def create_collection(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    collection: Annotated[str, typer.Argument(metavar="COLLECTION", help="Its name.")],
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    embedder: Embedder = None,
    as_json: Json = False,
) -> None:
    """Begin a collection with an embedder, which it keeps; `put` does so too, by itself."""
    from penstock.cli import knowing

    flags = {"store": store, "vectors": vectors, "embedder": embedder}
    knowing.create(knowing.Place(app, collection, tenant, flags), as_json=as_json)


@knowledge_app.command("put")
def put_documents(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR...", help="Files, or folders of them.")],
    collection: Collection = None,
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    embedder: Embedder = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Put documents into a collection: .md, .txt, .rst, .html, .pdf, .docx and docstrings of .py.

    Only what changed is embedded, and what is gone from a document is removed; with --url by the app that runs there.
    A file that cannot be read is said, and the others go in; then it ends with 1.
    """
    from penstock.cli import knowing

    place = knowing.Place(app, collection, tenant, {"store": store, "vectors": vectors, "embedder": embedder}, url)
    raise typer.Exit(knowing.put(place, paths, as_json=as_json))


@knowledge_app.command("delete")
def delete_documents(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The documents' ids, as they were put.")],
    collection: Collection = None,
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    embedder: Embedder = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Take documents out of a collection: those of this tenant with exactly these ids, and nothing else.

    When one of them is not there, nothing is changed.
    """
    from penstock.cli import knowing

    place = knowing.Place(app, collection, tenant, {"store": store, "vectors": vectors, "embedder": embedder}, url)
    knowing.delete(place, ids, as_json=as_json)


@knowledge_app.command("export")
def export_knowledge(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to: a passage a line, as JSON. -: the screen.")],
    collection: Collection = None,
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    embedder: Embedder = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Say how many there were as one JSON value.")] = False,
) -> None:
    """Write the passages of a collection to a file, in the order of their ids; it is replaced when all is written."""
    from penstock.cli import knowing

    place = knowing.Place(app, collection, tenant, {"store": store, "vectors": vectors, "embedder": embedder}, url)
    knowing.export(place, out, as_json=as_json)
