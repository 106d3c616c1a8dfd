"""`make bench-vectors`: the embedded index beside other embedded engines, on the same real texts, vectors and questions.

- Each engine runs in processes of its own, one engine after the other, the smallest size first: it is built, killed amid writes,
  opened, searched with and without filters, written to, searched beside writes. Recall is against exact answers.
- The other engines have an environment of their own (vector_peers, made by setup.sh): they are no dependencies of penstock.
- Every step's figures are written down when it ends, and the page with them. `--resume` goes on where a run of the same commit ended.
- An engine that cannot be had or run, or would take longer than what is left of `--minutes`, is said so; so is what one cannot do.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import sides
from machine import machine
from sides import HERE, REPOSITORY, NotMeasured
from vector_data import answered, prepared
from vector_embedding import embedding
from vector_page import page

# Penstock keeps the numerical libraries of its process to one thread, which must not hold for the others.
LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
OURS = "penstock"
PEERS = ("faiss-ivf", "zvec", "usearch", "faiss-hnsw", "qdrant-edge", "lancedb", "milvus-lite")
LIBRARIES = ("faiss-ivf", "usearch", "faiss-hnsw")  # nothing is on disk that a killed process wrote
SIZES = (10_000, 100_000, 1_000_000)
QUICK = (10_000, 30_000)
MINUTES = 28.0
BUILT_S = 900.0
WITHIN_S = 60.0  # and a second more for each 10,000 vectors
TRIES = {"build": 1, "killed": 1, "opened": 3}  # zvec hangs at times
GROWTH = 1.2  # a build takes somewhat more than ten times as long for ten times as much
DOCUMENT = REPOSITORY / "docs" / "benchmarks-vectors.md"


@dataclass
class Run:
    """What was measured so far, and how long it may still take."""

    results: list[dict[str, Any]]
    machine: dict[str, Any]
    embedded: dict[str, float]
    began_s: float
    ends_s: float
    file: Path
    document: Path | None

    @property
    def left_s(self) -> float:
        return self.ends_s - monotonic()

    def of(self, engine: str, size: int) -> dict[str, Any]:
        """What is known of an engine at a size; what is put there is kept."""
        for each in self.results:
            if (each["engine"], each["size"]) == (engine, size):
                return each
        self.results.append({"engine": engine, "size": size})
        return self.results[-1]

    def save(self) -> None:
        minutes = round((monotonic() - self.began_s) / 60, 1)
        state = {"machine": self.machine, "minutes": minutes, "embedded": self.embedded, "results": self.results}
        self.file.write_text(json.dumps(state, indent=1))
        if self.document is not None:
            for path, text in page(self.results, self.machine, self.embedded, minutes, self.document).items():
                path.write_text(text, encoding="utf-8")


def main() -> int:
    given = _arguments()
    given.data.mkdir(parents=True, exist_ok=True)
    if given.document is not None:
        given.document.parent.mkdir(parents=True, exist_ok=True)
    began_s = monotonic()
    on = machine()
    python = _peers(given)
    embedded = asyncio.run(prepared(given.data, max(given.sizes))) | embedding(given.data)
    run = Run(
        _kept(given.data, on) if given.resume else [],
        on,
        embedded,
        began_s,
        began_s + given.minutes * 60,
        given.data / "results.json",
        given.document,
    )
    for size in given.sizes:
        answered(given.data, size)
        for engine in (OURS, *given.peers):
            _measure(run, engine, size, given.data, sys.executable if engine == OURS else python)
    run.save()
    if given.json:
        sys.stdout.write(json.dumps(run.results) + "\n")
    _say(f"{(monotonic() - began_s) / 60:.1f} minutes; figures: {run.file}; page: {run.document or 'not written'}")
    return 1 if any("failed" in each for each in run.results) else 0


def _arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("PENSTOCK_BENCH_CACHE", Path.home() / ".cache" / "penstock-bench"))
    parser = argparse.ArgumentParser(prog="make bench-vectors", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sizes", type=_sizes, help="such as 10k,100k,1M, which is the default")
    parser.add_argument("--quick", action="store_true", help="10k and 30k: some minutes, to try it out")
    parser.add_argument("--peers", type=_names, default=PEERS, help=f"some of {','.join(PEERS)}; or none")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="what would take longer is left out")
    parser.add_argument("--resume", action="store_true", help="go on with the last run, if it was of this commit")
    parser.add_argument("--data", type=Path, default=cache / "vector-data", help="texts, vectors and figures")
    parser.add_argument("--document", type=Path, help="where the page is written to; not at all with --sizes, --peers")
    parser.add_argument("--json", action="store_true", help="print the figures")
    given = parser.parse_args()
    whole = not given.sizes and not given.quick and given.peers == PEERS
    given.sizes = given.sizes or (QUICK if given.quick else SIZES)
    given.document = given.document or (DOCUMENT if whole else None)
    return given


def _sizes(text: str) -> tuple[int, ...]:
    units = {"k": 1_000, "M": 1_000_000}
    return tuple(
        sorted(int(each[:-1]) * units[each[-1]] if each[-1] in units else int(each) for each in text.split(","))
    )


def _names(text: str) -> tuple[str, ...]:
    names = () if text == "none" else tuple(text.split(","))
    if unknown := sorted(set(names) - set(PEERS)):
        raise argparse.ArgumentTypeError(f"no engine is called {', '.join(unknown)}")
    return names


def _peers(given: argparse.Namespace) -> str | None:
    if not given.peers:
        return None
    try:
        return str(sides.environment(HERE / "vector_peers") / "venv" / "bin" / "python")
    except NotMeasured as error:
        _say(f"the other engines cannot be had: {error}")
        return None


def _kept(folder: Path, on: dict[str, Any]) -> list[dict[str, Any]]:
    """What an earlier run of this commit has finished."""
    try:
        state = json.loads((folder / "results.json").read_text())
    except (OSError, ValueError):
        return []
    if state["machine"]["commit"] != on["commit"]:
        _say(f"the last run was of {state['machine']['commit']}: all is measured anew")
        return []
    return [each for each in state["results"] if "took_s" in each]


def _measure(run: Run, engine: str, size: int, folder: Path, python: str | None) -> None:
    result = run.of(engine, size)
    if "took_s" in result:
        return
    if python is None:
        result["skipped"] = "the engines' environment could not be made"
    elif run.left_s < (expected_s := _expected_s(run.results, engine, size)):
        result["skipped"] = f"it would take some {expected_s / 60:.0f} minutes, {run.left_s / 60:.0f} were left"
    else:
        _steps(run, result, folder, python)
    run.save()
    _say(json.dumps(result))


def _expected_s(results: Sequence[dict[str, Any]], engine: str, size: int) -> float:
    """How long an engine will take, by what a smaller size took it; nothing where none was measured."""
    smaller = [each for each in results if each["engine"] == engine and each["size"] < size]
    if not smaller:
        return 0.0
    last = max(smaller, key=lambda each: each["size"])
    times = size / last["size"]
    return last.get("build_s", BUILT_S) * times * GROWTH + last.get("took_s", 0.0) - last.get("build_s", 0.0)


def _steps(run: Run, result: dict[str, Any], folder: Path, python: str) -> None:
    engine, size = result["engine"], result["size"]
    place = folder / "index"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    script = str(HERE / ("vector_ours.py" if engine == OURS else "vector_side.py"))
    began_s = monotonic()
    try:
        for step in ("build", "killed", "opened"):
            if step == "killed" and engine in LIBRARIES:
                continue
            command = [python, script, engine, str(size), str(folder), str(place), step]
            if problem := _step(run, result, command, step):
                result["failed"] = problem
                break
    finally:
        result["took_s"] = round(monotonic() - began_s, 1)
        shutil.rmtree(place, ignore_errors=True)


def _step(run: Run, result: dict[str, Any], command: list[str], step: str) -> str:
    """Run a step, again where one does not end; return what went wrong."""
    problem = ""
    size = result["size"]
    within_s = BUILT_S if step == "build" else WITHIN_S + size / 10_000
    for _ in range(TRIES[step]):
        _say(f"{result['engine']}, {size:,}: {step}")
        problem, is_hung = _figures(result, command, step, max(1.0, min(run.left_s, within_s)))
        run.save()
        if not is_hung:
            break
        result["hung"] = result.get("hung", 0) + 1
    return problem


def _figures(result: dict[str, Any], command: list[str], step: str, within_s: float) -> tuple[str, bool]:
    """Put a step's figures into the result, also those of one that does not end; return what went wrong, and if that was it."""
    problem, is_hung = "", False
    environment = {name: value for name, value in os.environ.items() if name not in LIBRARY_THREADS}
    if result["engine"] == OURS:
        environment["OPENBLAS_NUM_THREADS"] = "1"  # as the command line of penstock sets it
    try:
        done = subprocess.run(command, capture_output=True, timeout=within_s, check=False, env=environment)
        lines = done.stdout.decode().splitlines()
        if step != "killed" and (done.returncode or not lines):
            problem = f"{step}: {sides.last_lines(done.stderr.decode(errors='replace'))[-300:]}"
    except subprocess.TimeoutExpired as error:
        lines = (error.stdout or b"").decode().splitlines()
        problem, is_hung = f"{step} did not end within {within_s:.0f} s", True
    if step == "killed":
        result["acknowledged"] = sum(line.isdigit() for line in lines)
    elif whole := [line for line in lines if line.startswith("{")]:
        first = result.get("after_kill")  # the first attempt takes away what it finds
        result |= json.loads(whole[-1])
        if first is not None:
            result["after_kill"] = first
    return problem, is_hung


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
