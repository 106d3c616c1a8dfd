"""`penstock knowledge adapt`: the static table adapted to a collection's own text."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.arguments import Json, Store, Vectors
from penstock.cli.knowledge_options import AppOption, Collection, Whose, place_of

if TYPE_CHECKING:
    from penstock.core.knowledge.judging import Judged

FOLDER = Path(".penstock") / "adapted"


def adapt(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    collection: Collection = None,
    documents: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Passages of a file instead, as `export` writes them.")
    ] = None,
    judged: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A judged collection: its documents, and its queries to try it on."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Where to (default: .penstock/adapted/NAME-VERSION.npz)."),
    ] = None,
    whatever: Annotated[bool, typer.Option("--whatever", help="Write the table also when it did not help.")] = False,
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    as_json: Json = False,
) -> None:
    """Adapt the static embedder to a collection's own text, in minutes, and say whether that helps.

    It learns which words belong together there, and is tried on questions that were kept from learning: titles of passages, or
    sentences cut out of them. Only a table that helped is written. Nothing is switched: the new table is an embedder, and
    `penstock knowledge build --embedder static:FILE` makes a generation of it, which can be compared, switched to and taken back.
    """
    began_s = time.monotonic()
    corpus, name = _corpus(place_of(app, collection, (store, vectors), None, tenant), documents, judged)
    said = _adapted(corpus, name, out, whatever=whatever, is_shown=not as_json)
    said["seconds"] = round(time.monotonic() - began_s, 1)
    if as_json:
        from penstock.cli.looking import print_json

        print_json(said)
        return
    _print(said)


def _corpus(place: Any, documents: Path | None, judged: Path | None) -> "tuple[Judged, str]":
    from penstock.errors import Finding, Invalid
    from penstock.reading import judged_collection
    from penstock.runtime.adapting import corpus_of

    if documents is not None and judged is not None:
        problem = "brings documents of its own"
        raise Invalid("the options", (Finding("--judged", problem, "leave --documents out"),))
    if judged is not None:
        return judged_collection(judged), judged.resolve().name
    if documents is not None:
        return corpus_of(_read(documents)), documents.stem
    from penstock.cli.knowing import COLLECTION, all_passages, on_collection

    return corpus_of(on_collection(place, all_passages)), place.collection or COLLECTION


def _read(path: Path) -> Sequence[Any]:
    """Return the passages of a file; `Invalid` with all lines that are none."""
    from penstock.core.knowledge.passages import Passage
    from penstock.errors import Finding, Invalid

    found: list[Passage] = []
    findings: list[Finding] = []
    try:
        lines = path.read_text(encoding="utf-8").split(
            "\n"
        )  # not `splitlines`: a text may hold other separators of lines
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(str(path), (Finding("(whole)", str(error), "give a file of JSON lines"),)) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            title = value.get("title") or value.get("metadata", {}).get("title", "")
            found.append(Passage(str(value.get("_id", value.get("id", number))), value["text"], {"title": title}))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            findings.append(Finding(f"line {number}", f"is no passage: {error}", '{"id": ..., "text": ...}'))
    if findings:
        raise Invalid(str(path), tuple(findings[:20]))
    return found


def _adapted(corpus: "Judged", name: str, out: Path | None, *, whatever: bool, is_shown: bool) -> dict[str, Any]:
    import msgspec

    from penstock.adapters.embedders.static import TABLE, open_static_embedder
    from penstock.adapters.embedders.table_files import read_vectors, write_table
    from penstock.cli.progress import bar
    from penstock.errors import Refused
    from penstock.runtime.adapting import adapted, steps_of

    embedder = open_static_embedder()
    with bar("adapting", steps_of(corpus), is_shown=is_shown) as advance:
        table, found = adapted(corpus, read_vectors(TABLE), embedder.rows_of, advance)
    said: dict[str, Any] = {**msgspec.to_builtins(found), "helped": found.helped, "table": None, "embedder": None}
    if found.helped or whatever:
        # By its content: one that an earlier adapting wrote may be what a generation that serves is made with.
        try:
            path, version = write_table((out or FOLDER / name).resolve(), table, TABLE)
        except OSError as error:
            raise Refused(f"the table cannot be written ({error})", "give --out another file") from error
        said |= {"embedder": f"static-{version}", "table": str(path)}
    return said


def _print(said: dict[str, Any]) -> None:
    low, high = said["interval"]
    print(
        f"{said['passages']:,} passages, {said['questions']:,} questions that were kept from learning; {said['seconds']} s"
    )
    vectors = f"vectors alone {said['vectors_before']:.3f} -> {said['vectors_after']:.3f}"
    print(f"  nDCG@10 hybrid {said['before']:.3f} -> {said['after']:.3f}, {vectors}")
    print(f"  difference of the hybrid {said['difference']:+.3f}, 95 % of the time between {low:+.3f} and {high:+.3f}")
    if said["helped"]:
        print(f"it helped: penstock knowledge build --embedder static:{said['table']} --switch")
        return
    written = f" ({said['table']} was written all the same)" if said["table"] else ""
    print(f"it did not help: stay with the table as it is{written}")
