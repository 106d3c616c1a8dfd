"""Makes the table of the default embedder: `python scripts/embedder <step> --work <folder>`. The README beside this file says how."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))
TABLE = ROOT / "src" / "penstock" / "adapters" / "embedders" / "static256.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("texts", "teach", "distil", "pairs", "finalize", "evaluate"):
        step = steps.add_parser(name)
        step.add_argument("--work", type=Path, required=True, help="a folder for everything that is not the result")
        if name in {"teach", "distil"}:
            step.add_argument("--threads", type=int, default=2)
        if name == "teach":
            step.add_argument("--texts-max", type=int, default=200_000)
        if name == "evaluate":
            step.add_argument("--judged", type=Path, required=True, help="the folder of judged retrieval sets")
        if name in {"finalize", "evaluate"}:
            step.add_argument("--table", type=Path, default=TABLE)
    run(parser.parse_args())


def run(given: argparse.Namespace) -> None:
    """Each step is imported when it runs: they need different packages."""
    if given.step == "texts":
        from texts import collect

        collect(given.work)
    elif given.step == "teach":
        from teacher import teach

        teach(given.work, texts_max=given.texts_max, threads=given.threads)
    elif given.step == "distil":
        from distil import distil

        distil(given.work, dims=256, epochs=7, rate=0.002, threads=given.threads)
    elif given.step == "pairs":
        from pairs import pair

        pair(given.work, epochs=6, rate=0.001)
    elif given.step == "finalize":
        from finalize import finalize

        finalize(given.work, given.table)
    else:
        from evaluate import evaluate

        evaluate(given.judged, given.table, given.work)


if __name__ == "__main__":
    main()
