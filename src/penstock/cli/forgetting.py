"""`penstock knowledge forget` and `receipt`: somebody is forgotten, with the app that runs or while none does."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.arguments import Json, Store, Url, Vectors
from penstock.cli.knowledge_options import AppOption, Collection, Whose, place_of


def add_forgetting(knowledge_app: typer.Typer) -> None:
    """Add the commands to the group."""
    knowledge_app.command("forget")(forget)
    knowledge_app.command("receipt")(check_receipt)


def forget(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Who is to be forgotten, as events name them.")],
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether anything is left; ends with 1 if so.")
    ] = False,
    text: Annotated[list[str] | None, typer.Option(help="With --check: also look for this in the files.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: what is forgotten does not come back.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where the receipt is written to.")] = None,
    collection: Collection = None,
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Have all go that is about a subject: log, runs, messages, values, passages of all generations, files; print the receipt.

    What an app's other events are about is only known with --app, or by the app that runs (--url).
    """
    from penstock.cli import forgetting_work as work

    place = place_of(app, collection, (store, vectors), url, tenant)
    if check:
        raise typer.Exit(work.check(place, subject, text or [], as_json=as_json))
    if not yes:
        if not sys.stdin.isatty():
            typer.echo(f"penstock: forgetting {subject!r} cannot be taken back: say --yes", err=True)
            raise typer.Exit(2)
        typer.confirm(f"Forget all that is about {subject!r} of tenant {tenant!r}, for good?", abort=True)
    work.forget(place, subject, out, as_json=as_json)


def check_receipt(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The receipt, as `forget` wrote it.")],
    subject: Annotated[str, typer.Option(help="Also whether it is about this subject.")] = "",
    collection: Collection = None,
    app: AppOption = None,
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Say whether a receipt was signed by this store, as it is; ends with 1 if not."""
    from penstock.cli import forgetting_work as work

    plain = _read(file)
    valid = work.is_receipt(place_of(app, collection, (store, vectors), url), plain, subject)
    if as_json:
        typer.echo(json.dumps({"valid": valid}))
    else:
        typer.echo("signed by this store" if valid else "not signed by this store, changed, or about somebody else")
    raise typer.Exit(0 if valid else 1)


def _read(file: Path) -> Any:
    from penstock.errors import Finding, Invalid, Missing

    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"the file {file}" if isinstance(error, FileNotFoundError) else f"what can be read in {file}"
        raise Missing(what, "give what `penstock knowledge forget --out` wrote") from error
    except ValueError as error:
        raise Invalid(str(file), (Finding("(whole)", str(error), "it is no receipt"),)) from error
