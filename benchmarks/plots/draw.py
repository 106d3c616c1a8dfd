"""Draws what storage.py found as an SVG: python draw.py DATA.json PICTURE.svg."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "penstock"  # the same data, the same file

from matplotlib import pyplot as plt  # noqa: E402

TITLES = {"off": "nothing is ever removed", "default": "retention as by default"}


def main(data: Path, picture: Path) -> None:
    found = json.loads(data.read_text(encoding="utf-8"))
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, title in TITLES.items():
        axes.plot(found["turns"], [each / 1e6 for each in found["bytes"][name]], marker="o", markersize=3, label=title)
    part = found["turns"][1]
    axes.set_xlabel(f"turns of one session ({found['days_a_part']} days for each {part:,})")
    axes.set_ylabel("MB on the disk")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
