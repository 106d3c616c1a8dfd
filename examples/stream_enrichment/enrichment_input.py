"""What goes in: messages of customers over some days, out of order within minutes.

They are those of the corpora when these are here, else shipped ones.
"""

import json
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

HERE = Path(__file__).parent
CORPUS = HERE.parents[1] / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus") / "support"
SHIPPED = HERE / "messages.jsonl"
DAY_MS = 86_400_000
FIRST_DAY_MS = 1_764_028_800_000  # 2025-11-25
DAYS = 3
PAUSE_MS = 3_600_000  # then it is another session
DISORDER_MS = 90_000  # less than the app allows
ASKED_BY_MANY = ["How long can I return an item?", "Where is my order?", "Can I change the address of my order?"]


class Said(NamedTuple):
    """One message: its id, whose it is, what it says, when that was."""

    id: str
    session: str
    text: str
    at_ms: int


def conversations() -> tuple[str, Iterator[tuple[str, list[str]]]]:
    """Return where messages are from, and who says what."""
    files = [CORPUS / f"tau_retail_{part}.jsonl" for part in ("dev", "test")]
    if not all(each.is_file() for each in files):
        return "shipped messages", ((each["who"], each["says"]) for each in _lines(SHIPPED))
    return "tau-bench retail", (
        (f"{each['user_id']}-{number}", _messages(each["instruction"]))
        for number, each in enumerate(line for file in files for line in _lines(file))
    )


def said(messages_max: int, seed: int = 7) -> tuple[str, list[list[Said]]]:
    """Return where it is from, and what is said on each day, in the order in which it arrives."""
    origin, told = conversations()
    chance, days, total = Random(seed), [[] for _ in range(DAYS)], 0
    for number, (who, texts) in enumerate(told):
        day = number % DAYS
        at_ms = FIRST_DAY_MS + day * DAY_MS + chance.randrange(36_000_000)
        opening = [ASKED_BY_MANY[number % len(ASKED_BY_MANY)]] if number % 2 else []
        for place, text in enumerate([*opening, *texts]):
            comes_back = place > 0 and place % 3 == 0
            at_ms += PAUSE_MS if comes_back else chance.randrange(20_000, 600_000)
            days[day].append(Said(f"{who}/{place}", who, text, at_ms))
            total += 1
        if total >= messages_max:
            break
    for each in days:
        each.sort(key=lambda one: one.at_ms + chance.randrange(DISORDER_MS))
    return origin, days


def sessions_closed(days: list[list[Said]]) -> int:
    """Return how many sessions end with a customer's coming back, counted by hand: the last of each are open."""
    times: dict[str, list[int]] = {}
    for day in days:
        for each in day:
            times.setdefault(each.session, []).append(each.at_ms)
    return sum(later - earlier > PAUSE_MS // 2 for own in times.values() for earlier, later in pairwise(sorted(own)))


def _lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _messages(instruction: str) -> list[str]:
    """A customer's instruction, two sentences at a time."""
    sentences = re.split(r"(?<=[.!?])\s+", instruction.strip())
    return [" ".join(sentences[start : start + 2]) for start in range(0, len(sentences), 2)]
