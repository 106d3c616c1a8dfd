"""W1, the durable turn: its data, and what its five steps compute. The same for us, for the yardstick and for every peer.

- Imports nothing but numpy and the standard library: a peer's own environment can load it.
- Everything is derived from numbers by hashing, so that two processes agree without sharing a file.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIMS = 256
PASSAGES = 10_000
TOP = 5
SESSIONS = 1_000
MESSAGES = 20

REPLY = (
    "The stubbed model's fixed answer, about two hundred characters long, so that the recorded step has a realistic size: "
    + "lorem ipsum dolor sit amet " * 3
)

# Multipliers of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
_SEQUENCE = np.arange(1, DIMS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def embedding(text: str) -> bytes:
    """Step 1: a unit vector of `DIMS` little-endian float32 (1,024 bytes), derived from a hash of the text."""
    seed = np.uint64(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little"))
    mixed = (_SEQUENCE ^ seed) * _MIX
    mixed ^= mixed >> np.uint64(31)
    vector = (mixed >> np.uint64(40)).astype(np.float32) * np.float32(2 / (1 << 24)) - np.float32(1)
    vector /= np.sqrt(vector @ vector)
    return vector.astype("<f4", copy=False).tobytes()


def passage_vectors() -> NDArray[np.float32]:
    """What step 2 searches: shape (`PASSAGES`, `DIMS`), unit rows. Row n is the passage with the id `str(n)`."""
    body = b"".join(embedding(f"doc-{number}") for number in range(PASSAGES))
    return np.frombuffer(body, "<f4").reshape(PASSAGES, DIMS)


def prompt(history: Iterable[tuple[str, str]], passages: Sequence[str], text: str) -> str:
    """Step 3: the prompt of (role, content) pairs, ids of passages and the question."""
    lines = ["You are a helpful agent."]
    lines += [f"[doc {passage}]" for passage in passages]
    lines += [f"{role}: {content}" for role, content in history]
    lines.append(f"user: {text}")
    return "\n".join(lines)


def reason(prompt: str) -> str:  # noqa: ARG001 - a stub that answers as quickly as can be, so that the engine is measured
    """Step 4: what a model would say."""
    return REPLY


def session_of(turn: int) -> str:
    return f"s{turn % SESSIONS:04d}"


def text_of(turn: int) -> str:
    return f"question number {turn} about topic {turn % 97} and something else to make it longer"


def preloaded(session: str) -> list[tuple[str, str]]:
    """The `MESSAGES` messages (role, content) that a session begins with."""
    return [
        ("assistant" if number % 2 else "user", f"message {number} of session {session}: " + "x" * 80)
        for number in range(MESSAGES)
    ]
