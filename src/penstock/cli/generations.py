"""`penstock knowledge build`, `switch`, `rollback`, ...: the generations of a collection, with its app or while none runs."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import Json, Store, Url, Vectors
from penstock.cli.knowledge_options import AppOption, Collection, Whose, place_of

Number = Annotated[
    int, typer.Argument(metavar="GENERATION", min=1, help="As `penstock knowledge generations` says it.")
]
Made = Annotated[
    str, typer.Option("--embedder", help="static, minilm, openai:NAME, ... (default: the one that serves).")
]
PerS = Annotated[float, typer.Option(min=0, help="Passages in a second at most (default: half of the time is left).")]


def add_generations(knowledge_app: typer.Typer) -> None:
    """Add the commands to the group."""
    for name, command in (
        ("generations", list_generations),
        ("build", build),
        ("refine", refine),
        ("compare", compare),
        ("switch", switch),
        ("rollback", roll_back),
        ("drop", drop),
        ("rebuild", rebuild),
        ("verify", verify),
    ):
        knowledge_app.command(name)(command)


def list_generations(
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the generations of a collection, and how far each is."""
    from penstock.cli import generation_work as work

    work.show(place_of(app, collection, (store, vectors), url), as_json=as_json)


def build(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    embedder: Made = "",
    by: Annotated[
        str, typer.Option("--by", help="How documents are cut: structure, sentences or tokens (default: as now).")
    ] = "",
    words_max: Annotated[
        int | None, typer.Option(min=20, max=100_000, help="Words that a passage has at most (default: as now).")
    ] = None,
    per_s: PerS = 0.0,
    switch: Annotated[bool, typer.Option("--switch", help="Have it serve as soon as it has everything.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also from a log whose beginning was let go, without what was put before.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="With --url: wait until it is ready.")] = True,
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Build a new generation from the log, beside the one that serves: another embedder, other passages, or the same anew.

    Without --url it is built here, and ended with Ctrl-C it goes on the next time the store is opened.
    """
    from penstock.cli import generation_work as work

    options = {"by": by, "words_max": "" if words_max is None else str(words_max)}
    asked = {"embedder": embedder, "per_s": per_s, "switch": switch, "partial": partial}
    asked |= {"options": {name: value for name, value in options.items() if value}}
    work.build(place_of(app, collection, (store, vectors), url), asked, wait=wait, as_json=as_json)


def refine(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    embedder: Annotated[str, typer.Argument(metavar="EMBEDDER", help="minilm, openai:NAME, ...")],
    per_s: PerS = 0.0,
    wait: Annotated[bool, typer.Option(help="With --url: wait until it has everything.")] = True,
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Have a better and slower embedder follow in the background, and refine what is found. It holds no write up.

    A passage is found at once by the embedder that serves; as soon as it has a finer vector, that counts. Without --url it is
    built here, and ended with Ctrl-C it goes on the next time the store is opened. `drop` ends it.
    """
    from penstock.cli import generation_work as work

    asked = {"embedder": embedder, "per_s": per_s}
    work.build(place_of(app, collection, (store, vectors), url), asked, wait=wait, as_json=as_json, refines=True)


def compare(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    generation: Number,
    queries: Annotated[
        Path | None, typer.Option(help="Questions, one in each line (default: the app's last ones).")
    ] = None,
    judged: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A judged collection, as `evaluate` takes it: nDCG@10 of both.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many passages of each answer count.")] = 10,
    tenant: Whose = "default",
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Ask the generation that serves and another one the same, and say how far they agree."""
    from penstock.cli import generation_work as work

    place = place_of(app, collection, (store, vectors), url, tenant)
    work.compare(place, generation, work.questions(queries, judged), limit, as_json=as_json)


def switch(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    generation: Number,
    grace_s: Annotated[
        float | None, typer.Option(min=0, help="How long the one before is kept (default: 7 days).")
    ] = None,
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Have a generation serve; the one before follows on, and can be taken back."""
    from penstock.cli import generation_work as work

    work.switch(place_of(app, collection, (store, vectors), url), generation, grace_s, as_json=as_json)


def roll_back(
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Have the generation that served before serve again."""
    from penstock.cli import generation_work as work

    work.roll_back(place_of(app, collection, (store, vectors), url), as_json=as_json)


def drop(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    generation: Number,
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Let a generation go, or end its build. The one that serves is refused."""
    from penstock.cli import generation_work as work

    work.drop(place_of(app, collection, (store, vectors), url), generation, as_json=as_json)


def rebuild(
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Build the index anew from the log, have it serve, and drop the old one. Searches go on meanwhile."""
    from penstock.cli import generation_work as work

    work.build(place_of(app, collection, (store, vectors), url), {"replaces": True}, wait=True, as_json=as_json)


def verify(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    repair: Annotated[bool, typer.Option("--repair", help="Mend what differs.")] = False,
    deep: Annotated[
        int, typer.Option(min=0, help="Of how many passages text, vector and words are looked at.")
    ] = 10_000,
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Compare the index with the log. It ends with 1 when something differs, and was not mended."""
    from penstock.cli import generation_work as work

    raise typer.Exit(
        work.verify(place_of(app, collection, (store, vectors), url), deep, repair=repair, as_json=as_json)
    )
