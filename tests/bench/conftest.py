"""`benchmarks/` is a folder of scripts and not a package: its tests import them as they import each other."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path += [str(BENCHMARKS), str(BENCHMARKS / "reference"), str(BENCHMARKS / "plots")]
