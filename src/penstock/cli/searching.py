"""`penstock knowledge search`: a collection is searched, with all that a search can be asked for."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from penstock.cli.arguments import Embedder, Json, Store, Url, Vectors
from penstock.cli.knowledge_options import AppOption, Whose

if TYPE_CHECKING:
    from penstock.cli.knowing import Place
    from penstock.runtime.collection import Found
    from penstock.runtime.knowledge import OpenKnowledge
    from penstock.runtime.search_options import SearchOptions

LINES_SHOWN = 4
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
_CONDITION = re.compile(r"(?P<field>[^<>=!]+?)\s*(?P<operator>>=|<=|!=|=|<|>)\s*(?P<value>.*)", re.DOTALL)
_BOUNDS = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}


def search_knowledge(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What is looked for, in plain words.")],
    collection: Annotated[
        str | None, typer.Option(help="The collection (default: the app's only one; without an app: documents).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many passages at most.")] = 5,
    offset: Annotated[int, typer.Option(min=0, max=999, help="Leave out so many of the best.")] = 0,
    page_after: Annotated[str, typer.Option(metavar="CURSOR", help="Go on where a page ended: its `next`.")] = "",
    mode: Annotated[str, typer.Option(help="hybrid, vectors or words.")] = "hybrid",
    fusion: Annotated[str, typer.Option(help="scores or ranks: how words and vectors are put together.")] = "scores",
    filter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION", help="lang=en, year>=2020, lang!=de, or JSON as over HTTP. Several: all of them hold."
        ),
    ] = None,
    mmr: Annotated[
        float, typer.Option("--mmr", min=0, max=1, help="0: the best, alike or not; 1: as different as can be.")
    ] = 0.0,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Leave out what scores less, on the scale of the mode.")
    ] = None,
    highlight: Annotated[bool, typer.Option("--highlight", help="Show where the words of the query are.")] = False,
    refine: Annotated[bool, typer.Option(help="Have a finer model that follows in the background refine it.")] = True,
    boost: Annotated[float, typer.Option(min=0, max=1, help="How much use lifts a passage.")] = 0.0,
    rerank: Annotated[
        int | None, typer.Option(min=0, max=200, help="How many of the best are judged anew (see --reranker); 0: none.")
    ] = None,
    reranker: Annotated[
        str | None, typer.Option(help="words, minilm, cohere:NAME, ... (default: the app's; not with --url).")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="As it was: an offset of the log, a time (2026-11-26T09:30Z), or a run's id.")
    ] = None,
    generation: Annotated[int | None, typer.Option(min=1, help="Another generation than the one that serves.")] = None,
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    embedder: Embedder = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Search a collection; with --url, that of the app that runs there."""
    from penstock.cli import knowing

    asked: dict[str, Any] = {
        "limit": limit,
        "mode": mode,
        "fusion": fusion,
        "filter": conditions(filter or []),
        "diversity": mmr,
        "score_min": threshold,
        "page_after": page_after,
        "highlight": highlight,
        "boost": boost,
        "rerank": rerank,
        "refine": refine,
        "as_of": as_of,
        "generation": generation,
    }
    place = knowing.Place(
        app, collection, tenant, {"store": store, "vectors": vectors, "embedder": embedder, "reranker": reranker}, url
    )
    show(searched(place, query, asked, offset), as_json=as_json)


def conditions(given: Sequence[str]) -> dict[str, Any] | None:
    """Return the filter in what was written, one condition each: `field=value`, a comparison, or JSON; `Invalid` otherwise."""
    read = [_condition(each) for each in given]
    return None if not read else read[0] if len(read) == 1 else {"and": read}


def _condition(text: str) -> dict[str, Any]:
    from penstock.errors import Finding, Invalid

    hint = 'write lang=en, year>=2020, lang!=de, or {"lang": {"in": ["en", "de"]}}'
    if text.lstrip().startswith("{"):
        try:
            return cast("dict[str, Any]", json.loads(text))
        except ValueError as error:
            raise Invalid("the options", (Finding("--filter", f"is {text!r}: {error}", hint),)) from error
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise Invalid("the options", (Finding("--filter", f"is {text!r}", hint),))
    field, operator, value = found["field"], found["operator"], found["value"]
    if operator in _BOUNDS:
        return {field: {_BOUNDS[operator]: value}}
    return {field: value} if operator == "=" else {"not": {field: value}}


def searched(place: "Place", query: str, asked: Mapping[str, Any], offset: int = 0) -> dict[str, Any]:
    """Return what is found in the form of the HTTP API, without the first `offset` of it."""
    from penstock.cli.knowing import on_collection
    from penstock.errors import Finding, Invalid
    from penstock.runtime.collection import LIMIT_MAX

    most = asked["limit"] + offset
    if most > LIMIT_MAX:
        problem = f"and --limit are {most} together"
        raise Invalid("the options", (Finding("--offset", problem, f"{LIMIT_MAX} at most: use --page-after"),))
    asked = {**asked, "limit": most}
    found = _over_http(place, query, asked) if place.url else on_collection(place, _work(query, asked))
    return {**found, "results": found["results"][offset:]}


def show(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what was found."""
    import sys

    from penstock.cli.looking import print_json
    from penstock.cli.tables import printable

    if as_json:
        print_json(found)
        return
    if degraded := found.get("degraded"):
        print(f"penstock: {degraded}", file=sys.stderr)
    if not found["results"]:
        print("nothing found")
    is_bold = sys.stdout.isatty()
    for each in found["results"]:
        print(f"{each['score']:.3f}  {printable(each['id'])}")
        marked = each.get("highlights")
        lines = _marked(each["payload"], marked, is_bold=is_bold) if marked else each["payload"].splitlines()
        shown = [line for line in lines[:LINES_SHOWN] if line.strip()]
        print("\n".join(f"    {line if marked else printable(line)}" for line in shown))
    if following := found.get("next"):
        print(f"more: --page-after {following}", file=sys.stderr)


def _marked(text: str, marked: Mapping[str, Any], *, is_bold: bool) -> list[str]:
    """Return the stretch that has most of the query's words, with these shown: bold, or in brackets where nothing is bold."""
    from penstock.cli.tables import printable

    before, after = (BOLD, PLAIN) if is_bold else ("[", "]")
    parts: list[str] = []
    at = marked["start"]
    for start, end in marked["spans"]:
        if at <= start and end <= marked["end"]:
            parts += [printable(text[at:start]), before, printable(text[start:end]), after]
            at = end
    return ["".join([*parts, printable(text[at : marked["end"]])]).strip()]


def _work(query: str, asked: Mapping[str, Any]) -> "Callable[[OpenKnowledge], Awaitable[dict[str, Any]]]":
    from penstock.core.knowledge.as_of import read

    as_of = None if asked["as_of"] is None else read(asked["as_of"])
    options = cast("SearchOptions", {**asked, "as_of": as_of})

    async def work(knowledge: "OpenKnowledge") -> dict[str, Any]:
        found = await knowledge.search(query, **options)
        document = shown(found, options)
        if found:
            document |= {"generation": found[0].generation, "model": knowledge.model_of(found[0].generation)}
            document |= {"as_of": found[0].as_of}
        elif options.get("mode") == "hybrid" and knowledge.vectors_down:
            document["degraded"] = f"by words only: {knowledge.vectors_down}"
        return document

    return work


def shown(found: "Sequence[Found]", options: "SearchOptions") -> dict[str, Any]:
    """Return what was found as the HTTP API shows it."""
    import msgspec

    results: list[dict[str, Any]] = []
    for each in found:
        result = {"id": each.id, "score": each.score, "payload": each.text, "metadata": dict(each.metadata)}
        if each.highlights is not None:
            result["highlights"] = msgspec.to_builtins(each.highlights)
        results.append(result)
    document: dict[str, Any] = {"results": results}
    if len(found) == options.get("limit") and not any(options.get(each) for each in ("diversity", "boost", "rerank")):
        document["next"] = found[-1].cursor
    if found and found[0].degraded:
        document["degraded"] = found[0].degraded
    return document


def _over_http(place: "Place", query: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    from penstock.cli.remote import posted

    assert place.url is not None
    body = {**asked, "query": query, "top_k": asked["limit"], "collection": place.collection}
    del body["limit"]
    return posted(place.url, "/search", body, tenant=place.tenant)
