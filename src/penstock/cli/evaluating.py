"""`penstock knowledge evaluate`: how well and how fast knowledge is found, on queries that people judged."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.arguments import Embedder, Json, Store, Url, Vectors
from penstock.cli.knowledge_options import AppOption, Collection, Whose

if TYPE_CHECKING:
    from penstock.cli.knowing import Place
    from penstock.core.knowledge.judging import Judged
    from penstock.runtime.knowledge import OpenKnowledge

LOOK_S = 0.2
WITHIN_S = 600.0  # for an app that runs to measure
REFINED_WITHIN_S = 24 * 3600.0
EVALUATED_MAX = 1_000
Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="A judged collection: corpus.jsonl, queries.jsonl, qrels.tsv (as BEIR's)."),
]


def evaluate(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    folder: Folder = None,
    from_use: Annotated[
        bool, typer.Option("--from-use", help="Instead of DIR: what was asked of a collection, and what answers used.")
    ] = False,
    queries: Annotated[int, typer.Option(min=1, max=EVALUATED_MAX, help="With --from-use: the last so many.")] = 200,
    embedder: Embedder = None,
    refiner: Annotated[
        str | None, typer.Option(help="A finer model that refines the hybrid search: minilm, ... (measured, too).")
    ] = None,
    split: Annotated[str, typer.Option(help="Read qrels/SPLIT.tsv (default: qrels.tsv, else qrels/test.tsv).")] = "",
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the figures as a picture.")] = None,
    per_query: Annotated[
        bool, typer.Option("--per-query", help="Also print nDCG@10 of each query (with --json).")
    ] = False,
    collection: Collection = None,
    app: AppOption = None,
    tenant: Whose = "default",
    store: Store = None,
    vectors: Vectors = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Measure search by words, by vectors and by both (hybrid): nDCG@10, recall@100, MRR and the time of a search.

    Of DIR each document is one passage; all is indexed into a store of its own, which is removed at the end. With --from-use a
    collection is asked again, as it is, what it was asked, and judged by `KnowledgeUsed` events: what no search showed was
    never judged, so these figures compare ways of searching with each other. Nothing is changed.
    """
    from penstock.cli.looking import print_json
    from penstock.cli.written_files import require_writable
    from penstock.errors import Finding, Invalid

    if from_use == (folder is not None):
        raise Invalid("the options", (Finding("DIR", "or --from-use is to be given, and not both", "see --help"),))
    require_writable(plot, "--plot")
    if from_use:
        from penstock.cli.knowing import Place

        place = Place(app, collection, tenant, {"store": store, "vectors": vectors, "embedder": embedder}, url)
        shown, about = _by_use(place, queries, is_shown=not as_json), "what was asked and used"
    else:
        assert folder is not None
        shown, about = _of_folder(folder, split, embedder, refiner, is_shown=not as_json)
    if plot is not None:
        _draw(plot, "real use" if folder is None else folder.resolve().name, shown)
    if as_json:
        print_json(shown if per_query else {mode: _without_queries(each) for mode, each in shown.items()})
        return
    _print(about, shown)
    if plot is not None:
        print(f"drawn in {plot}")


def _of_folder(
    folder: Path, split: str, embedder: str | None, refiner: str | None, *, is_shown: bool
) -> tuple[dict[str, dict[str, Any]], str]:
    import asyncio  # late: `--help` needs none of it

    from penstock.reading import judged_collection

    judged = judged_collection(folder, split)
    shown = asyncio.run(_measured(judged, embedder, refiner, is_shown=is_shown))
    return shown, f"{folder}: {len(judged.documents):,} documents"


def _by_use(place: "Place", queries: int, *, is_shown: bool) -> dict[str, dict[str, Any]]:
    from contextlib import ExitStack
    from urllib.parse import quote

    from penstock.cli.knowing import named_at, on_collection
    from penstock.cli.progress import bar
    from penstock.cli.remote import posted
    from penstock.runtime.evaluating import figures_of, measured_by_use
    from penstock.stores import system_clock

    if place.url:
        path = f"/v1/knowledge/{quote(named_at(place), safe='')}/evaluation?queries_max={queries}"
        return posted(place.url, path, {}, tenant=place.tenant, within_s=WITHIN_S)

    async def work(knowledge: "OpenKnowledge") -> dict[str, dict[str, Any]]:
        with ExitStack() as shown:

            def began(steps: int) -> Callable[[int], None]:
                return shown.enter_context(bar("ask", steps, is_shown=is_shown))

            found = await measured_by_use(knowledge, system_clock(), queries_max=queries, began=began)
        return figures_of(found, per_query=True)

    return on_collection(place, work)


async def _measured(
    judged: "Judged", embedder: str | None, refiner: str | None, *, is_shown: bool
) -> dict[str, dict[str, Any]]:
    from penstock.app import App
    from penstock.cli.progress import bar
    from penstock.runtime.evaluating import REFINED, WAYS, figures_of, fill, measured
    from penstock.stores import system_clock

    ways = {**WAYS, **REFINED} if refiner else WAYS
    app = App("evaluate")
    app.knowledge("judged")
    with tempfile.TemporaryDirectory(prefix="penstock-evaluate-") as scratch:
        async with app.running(store=f"sqlite:{scratch}/evaluate.db", embedder=embedder, refiner=refiner) as live:
            knowledge = live.knowledge("judged")
            with bar("index", len(judged.documents), is_shown=is_shown) as advance:
                await fill(knowledge, judged, advance=advance)
            if refiner:
                await _refined(knowledge, len(judged.documents), is_shown=is_shown)
            with bar("ask", len(judged.asked) * len(ways), is_shown=is_shown) as advance:
                found = await measured(knowledge, judged, system_clock(), advance=advance, ways=ways)
    return figures_of(found, per_query=True)


async def _refined(knowledge: "OpenKnowledge", documents: int, *, is_shown: bool) -> None:
    """Wait until the finer model knows all documents, and show how far it is."""
    import asyncio

    from penstock.cli.progress import bar

    waiting = asyncio.ensure_future(knowledge.generations.refined(within_s=REFINED_WITHIN_S))
    with bar("refine", documents, is_shown=is_shown) as advance:
        seen = 0
        while not waiting.done():
            [state] = [each for each in await knowledge.generations.list() if each.generation.refines] or [None]
            if state is not None and documents - state.behind > seen:
                advance(documents - state.behind - seen)
                seen = documents - state.behind
            await asyncio.wait([waiting], timeout=LOOK_S)
    await waiting


def _without_queries(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "ndcg@10_of"}


def _print(about: str, shown: Mapping[str, Mapping[str, Any]]) -> None:
    from penstock.cli.looking import print_table

    forms = (("mode", "ndcg@10", "recall@100", "mrr", "p50_ms", "p99_ms"), ("mode", "ndcg@10", "recall@100", "mrr"))
    rows: list[dict[str, str]] = []
    for mode, figures in shown.items():
        quality = {name: f"{figures[name]:.3f}" for name in ("ndcg@10", "recall@100", "mrr")}
        rows.append(
            {"mode": mode, **quality, **{name: f"{figures[name]:.2f}" for name in ("p50_ms", "p99_ms")}, "reason": ""}
        )
    queries = next(iter(shown.values()))["queries"]
    print(f"{about}, {queries:,} judged queries")
    print_table(forms, rows)


def _draw(path: Path, name: str, shown: Mapping[str, Mapping[str, Any]]) -> None:
    from penstock.cli.charts import bars
    from penstock.cli.written_files import written

    groups = {
        figure: {mode: each[figure] for mode, each in shown.items()} for figure in ("ndcg@10", "recall@100", "mrr")
    }
    with written(path, "--plot") as file:
        file.write(bars(f"{name}: how well is it found", groups, top=1.0).encode())
