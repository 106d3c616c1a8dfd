"""`penstock export` and `penstock import`: a store, or a part of it, as a file that others can read."""

from typing import Annotated

import typer

from penstock.cli.arguments import Json, Tenant

Given = Annotated[
    str | None,
    typer.Argument(metavar="[APP.PY | STORE]", help="The app, or sqlite:PATH, postgresql://... or redis://..."),
]


def export_store(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    given: Given = None,
    to: Annotated[
        str, typer.Option(help="The file, compressed if it ends in .gz, or the folder (Parquet, or for a new file).")
    ] = ".",
    form: Annotated[str, typer.Option("--format", help="jsonl, or parquet (needs penstock[parquet]).")] = "jsonl",
    topic: Annotated[str | None, typer.Option(help="Only events of this topic, and what belongs to them.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run, and its event.")] = None,
    since: Annotated[str | None, typer.Option(help="Only events since then: 30m, 2h, 7d, or 2026-11-26T09:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Only events before then.")] = None,
    tenant: Tenant = None,
    as_json: Json = False,
) -> None:
    """Copy a store into a file: events, runs with their journals, state, dead letters, large values.

    It sees the store as it is at one moment, also beside the app that is running. What the file holds: docs/exports.md.
    """
    from penstock.cli import copying

    asked = copying.Asked(topic, run, since, until, tenant)
    copying.export_store(given, to, form, asked, as_json=as_json)


def import_store(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `penstock export` wrote.")],
    given: Given = None,
    check: Annotated[bool, typer.Option("--check", help="Only look whether it could be done.")] = False,
    as_json: Json = False,
) -> None:
    """Copy an export into a store, which may be of another kind: so a SQLite file becomes a Postgres.

    All of the file is looked through first, and nothing is written if anything is wrong with it. What the store has already is
    left alone, so an import that was stopped is done again. Stop the app first: an import is the only user of its store.
    """
    from penstock.cli import copying

    copying.import_store(file, given, only_check=check, as_json=as_json)
