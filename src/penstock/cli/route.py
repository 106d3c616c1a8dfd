"""`penstock route`: a router is learned from examples, tried and measured."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import Embedder, Json, OneTenant, Url

route_app = typer.Typer(
    help="Choose agents, tools or models by examples: learn a router, try it, measure it.", no_args_is_help=True
)
FILE = "routes.router"
ExamplesFile = Annotated[
    Path,
    typer.Argument(metavar="EXAMPLES", help='Lines as {"text": "...", "route": "..."}, or a .csv with these columns.'),
]
RouterFile = Annotated[Path, typer.Option("--router", metavar="FILE", help="What was learned: by `fit`.")]
OfApp = Annotated[Path | None, typer.Option("--app", metavar="APP.PY", help="The app that declares the router.")]
Name = Annotated[str, typer.Option("--name", help="The app's router (default: its only one).")]
Outside = Annotated[
    list[str] | None,
    typer.Option(
        "--outside", metavar="ROUTE", help="What examples that belong to no route are called (default: oos, ...)."
    ),
]
Plot = Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw how scores lie, in scope and out of it.")]


@route_app.command("fit")
def fit(
    examples: ExamplesFile,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the router is written.")] = Path(FILE),
    embedder: Embedder = None,
    outside: Outside = None,
    as_json: Json = False,
) -> None:
    """Learn a router from examples, and write it to a file for `app.router("desk", file=...)`.

    A part of the examples is held out first, to learn from which score on a text belongs to a route, and to say how well it went.
    """
    from penstock.cli import routing

    routing.fit(examples, out, embedder, outside, as_json=as_json)


@route_app.command("try")
def try_texts(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="What users may say.")],
    router: RouterFile = Path(FILE),
    app: OfApp = None,
    name: Name = "",
    tenant: OneTenant = "default",
    embedder: Embedder = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Say where texts belong, and by which score; with --url by the app that runs there."""
    from penstock.cli import routing

    place = routing.Place(router, app, name, tenant, embedder, url)
    routing.show(texts, routing.decided(place, texts), as_json=as_json)


@route_app.command("evaluate")
def evaluate(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    examples: ExamplesFile,
    router: RouterFile = Path(FILE),
    app: OfApp = None,
    name: Name = "",
    tenant: OneTenant = "default",
    embedder: Embedder = None,
    url: Url = None,
    outside: Outside = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Measure a router on examples that it did not learn from: accuracy in scope, and how much of the rest it recognises."""
    from penstock.cli import routing

    place = routing.Place(router, app, name, tenant, embedder, url)
    routing.evaluate(place, examples, outside, plot, as_json=as_json)
