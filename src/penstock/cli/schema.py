"""`penstock schema`: a registry of schemas, and whether they fit each other."""

from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.arguments import Json, Store, Url

schema_app = typer.Typer(help="Register schemas, and see whether new versions fit.", no_args_is_help=True)
Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="What the schema is of, as orders-value.")]
SchemaFile = Annotated[Path, typer.Argument(metavar="FILE", help="The schema, as JSON.")]
KindOption = Annotated[str, typer.Option("--type", help="AVRO or JSON.")]
Whose = Annotated[str, typer.Option("--tenant", help="Whose registry it is.")]
ModeOption = Annotated[
    str | None, typer.Option("--mode", help="NONE, BACKWARD, FORWARD, FULL, or one of them with _TRANSITIVE.")
]
FAILURES_SHOWN_MAX = 50


@schema_app.command("test")
def try_schemas(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Cases: a JSON object a line, or a list.")],
    as_json: Json = False,
) -> None:
    """Run recorded cases: compatibility of Avro (reader, writer), canonical forms (input), JSON Schema (schema, data).

    The last line is `N passed, M failed`. No schema is fetched from the network: cases that need one are counted apart.
    """
    import json

    from penstock.cli.schema_cases import cases_in, graded

    results = [graded(case, file) for file in files for case in cases_in(file)]
    failed = [each for each in results if each.passed is False]
    passed = sum(each.passed is True for each in results)
    if as_json:
        told = [{"name": each.name, "expected": each.expected, "got": each.got} for each in failed]
        print(json.dumps({"passed": passed, "failed": told, "left_out": len(results) - passed - len(failed)}))
    else:
        for each in failed[:FAILURES_SHOWN_MAX]:
            print(f"{each.name}: expected {each.expected}, got {each.got}")
        _print_groups(results)
        print(f"{passed} passed, {len(failed)} failed")
    raise typer.Exit(1 if failed else 0)


@schema_app.command("register")
def register_schema(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    subject: Subject,
    file: SchemaFile,
    kind: KindOption = "AVRO",
    mode: ModeOption = None,
    tenant: Whose = "default",
    store: Store = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Register a schema as the next version of SUBJECT; --mode chooses first what new versions are held to.

    It ends with 2, and all that is in the way, when it does not fit the versions before it.
    """
    from penstock.cli import registering

    found = registering.register(registering.Place(tenant, store, url), subject, file, kind.upper(), mode)
    registering.print_version(found, as_json=as_json)


@schema_app.command("check")
def check_schema(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    subject: Subject,
    file: SchemaFile,
    kind: KindOption = "AVRO",
    tenant: Whose = "default",
    store: Store = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Say what would be in the way of a schema as the next version of SUBJECT; ends with 1 when something is."""
    from penstock.cli import registering

    place = registering.Place(tenant, store, url)
    raise typer.Exit(registering.check(place, subject, file, kind.upper(), as_json=as_json))


@schema_app.command("list")
def list_schemas(
    subject: Annotated[str | None, typer.Argument(metavar="SUBJECT", help="Only this one, with its versions.")] = None,
    tenant: Whose = "default",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show at most.")] = 50,
    store: Store = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List subjects with their newest versions, or the versions of one."""
    from penstock.cli import registering

    registering.show(registering.Place(tenant, store, url), subject, limit, as_json=as_json)


def _print_groups(results: list[Any]) -> None:
    for group in sorted({each.group for each in results}):
        here = [each for each in results if each.group == group]
        good, bad = sum(each.passed is True for each in here), sum(each.passed is False for each in here)
        words = [each.same_words for each in here if each.same_words is not None]
        said = f", reasons in the same words: {sum(words)} of {len(words)}" if words else ""
        out = len(here) - good - bad
        left = f", {out} left out (they need a schema from the network)" if out else ""
        print(f"{group}: {good} passed, {bad} failed{said}{left}")
