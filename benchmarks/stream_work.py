"""The stream enrichment that all sides do: one message in, one line of JSON out, and how many a session had in each minute.

Only the standard library and numpy: peers have environments of their own. What a side is asked comes on its command line; what it did goes
to standard output as one object of JSON.
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples" / "stream_enrichment"))
sys.path.insert(0, str(HERE.parent / "src"))

import numpy as np  # noqa: E402 - after the paths
from enrichment_text import cleaned, language, masked, tokens  # noqa: E402

DIMS = 256
BEGIN_MS = 1_764_028_800_000
EVERY_MS = 40
WINDOW_MS = 60_000
SESSIONS = 200


def messages(count: int) -> Iterator[dict]:
    """Yield messages of many sessions, in the order of their times."""
    lines = (HERE.parent / "examples" / "stream_enrichment" / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    said = [text for line in lines for text in json.loads(line)["says"]]
    for number in range(count):
        text = f"{said[number % len(said)]} Case {number}."
        yield {"session_id": f"s{number % SESSIONS}", "message": text, "at_ms": BEGIN_MS + number * EVERY_MS}


def embedded(texts: list[str]) -> list[list[float]]:
    """Place texts by the runs of three letters in them: the same on all sides, and no model to install."""
    rows = np.zeros((len(texts), DIMS), np.float32)
    for place, text in enumerate(texts):
        letters = np.frombuffer(text.lower().encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
        runs = letters[:-2] * np.uint64(1_000_003) + letters[1:-1] * np.uint64(10_007) + letters[2:]
        rows[place] = np.sqrt(np.bincount((runs % np.uint64(DIMS)).astype(np.int64), minlength=DIMS))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1).astype(np.float32)).tolist()


def prepared(message: dict) -> dict:
    """Return a message cleaned, without personal data, tokenised, with its language."""
    text = masked(cleaned(message["message"]))
    return {
        "session_id": message["session_id"],
        "text": text,
        "language": language(text),
        "tokens": len(tokens(text)),
        "at_ms": message["at_ms"],
    }


def checked(texts: list[str], counts: list[tuple[str, int, int]]) -> str:
    """Return a hash of what came out, in any order: it must be the same on all sides."""
    whole = json.dumps([sorted(texts), sorted(counts)])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def told(count: int, took_s: float, texts: list[str], counts: list[tuple[str, int, int]]) -> None:
    """Say what a side did."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "messages": count,
                "took_s": took_s,
                "per_s": count / took_s,
                "cpu_ms": (own.ru_utime + own.ru_stime) * 1000 / count,
                "memory_mb": own.ru_maxrss / 1024,
                "came_out": checked(texts, counts),
                "lines": len(texts),
                "windows": len(counts),
            }
        )
    )


now_s = time.perf_counter
