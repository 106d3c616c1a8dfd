"""`penstock knowledge evaluate`: how well and how fast knowledge is found, on queries that people judged."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.arguments import Embedder, Json

if TYPE_CHECKING:
    from penstock.core.knowledge.judging import Judged

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="A judged collection: corpus.jsonl, queries.jsonl, qrels.tsv (as BEIR's).")
]


def evaluate(
    folder: Folder,
    embedder: Embedder = None,
    split: Annotated[str, typer.Option(help="Read qrels/SPLIT.tsv (default: qrels.tsv, else qrels/test.tsv).")] = "",
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the figures as a picture.")] = None,
    per_query: Annotated[
        bool, typer.Option("--per-query", help="Also print nDCG@10 of each query (with --json).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure search by words, by vectors and by both (hybrid): nDCG@10, recall@100, MRR and the time of a search.

    Each document is one passage. All is indexed into a store of its own, which is removed at the end; nothing else is touched.
    """
    from penstock.cli.looking import print_json
    from penstock.reading import judged_collection

    judged = judged_collection(folder, split)
    import asyncio  # late: `--help` needs none of it

    shown = asyncio.run(_measured(judged, embedder, is_shown=not as_json))
    if plot is not None:
        _draw(plot, folder.resolve().name, shown)
    if as_json:
        print_json(shown if per_query else {mode: _without_queries(each) for mode, each in shown.items()})
        return
    _print(folder, len(judged.documents), shown)
    if plot is not None:
        print(f"drawn in {plot}")


async def _measured(judged: "Judged", embedder: str | None, *, is_shown: bool) -> dict[str, dict[str, Any]]:
    from penstock.app import App
    from penstock.cli.progress import bar
    from penstock.runtime.evaluating import MODES, fill, measured
    from penstock.stores import system_clock

    app = App("evaluate")
    app.knowledge("judged")
    with tempfile.TemporaryDirectory(prefix="penstock-evaluate-") as scratch:
        async with app.running(store=f"sqlite:{scratch}/evaluate.db", embedder=embedder) as live:
            knowledge = live.knowledge("judged")
            with bar("index", len(judged.documents), is_shown=is_shown) as advance:
                await fill(knowledge, judged, advance=advance)
            with bar("ask", len(judged.asked) * len(MODES), is_shown=is_shown) as advance:
                found = await measured(knowledge, judged, system_clock(), advance=advance)
    return {
        mode: {
            "ndcg@10": each.figures.ndcg,
            "recall@100": each.figures.recall,
            "mrr": each.figures.mrr,
            "p50_ms": each.p50_ms,
            "p99_ms": each.p99_ms,
            "queries": each.queries,
            "ndcg@10_of": each.ndcg_of,
        }
        for mode, each in found.items()
    }


def _without_queries(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if name != "ndcg@10_of"}


def _print(folder: Path, documents: int, shown: Mapping[str, Mapping[str, Any]]) -> None:
    from penstock.cli.looking import print_table

    forms = (("mode", "ndcg@10", "recall@100", "mrr", "p50_ms", "p99_ms"), ("mode", "ndcg@10", "recall@100", "mrr"))
    rows: list[dict[str, str]] = []
    for mode, figures in shown.items():
        quality = {name: f"{figures[name]:.3f}" for name in ("ndcg@10", "recall@100", "mrr")}
        rows.append(
            {"mode": mode, **quality, **{name: f"{figures[name]:.2f}" for name in ("p50_ms", "p99_ms")}, "reason": ""}
        )
    queries = next(iter(shown.values()))["queries"]
    print(f"{folder}: {documents:,} documents, {queries:,} judged queries")
    print_table(forms, rows)


def _draw(path: Path, name: str, shown: Mapping[str, Mapping[str, Any]]) -> None:
    from penstock.cli.charts import bars
    from penstock.errors import Refused

    groups = {
        figure: {mode: each[figure] for mode, each in shown.items()} for figure in ("ndcg@10", "recall@100", "mrr")
    }
    try:
        path.write_text(bars(f"{name}: how well is it found", groups, top=1.0), encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} cannot be written ({error.strerror})", "give --plot another file") from error
