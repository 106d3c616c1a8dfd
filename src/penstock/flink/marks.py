"""Marks: how a handling learns that a checkpoint has what it recorded, which Flink tells no function in Python.

A mark is a message that a turn sends together with the state that it returns. The sink is exactly-once, so whoever reads what is
committed sees the mark once the checkpoint is complete that has this state. The job reads it itself: it comes back to its key,
and whoever waits there goes on. So the effect of a step waits for what led to it, here too (C4, C7).

A mark also stands in for a timer. Flink 2.3 leaves timers out of a checkpoint that were set by the turns just before its barrier
(`prepareSnapshotPreBarrier` ends their bundle, and registers them after it), so a key that is restored from there might never be
looked at again. So the turn that sets a timer which must not be lost sends a mark, too: by the time at which it comes back, the
timer is among those of each checkpoint from then on; and where it is another process that it comes back to, that one looks at
the key, and makes sure of it anew.
"""

import asyncio
import secrets
from typing import NamedTuple

from penstock.core.events.messages import Message

HEADER = "penstock-mark"
TIME = "ce_timems"  # of the event that it is about: so a mark does not move the time of its partition


class Mark(NamedTuple):
    """What is known of a key: all that process `incarnation` had `recorded`, by its count, is in a complete checkpoint."""

    incarnation: str
    recorded: int

    def message(self, name: str, time_ms: int) -> Message:
        """Return the message that comes back to the key of a name."""
        value = f"{self.incarnation}/{self.recorded}".encode()
        return Message(b"", name.encode(), ((HEADER, value), (TIME, b"%d" % time_ms)))


def marks_topic(app: str) -> str:
    """Return the topic by which marks come back."""
    return f"{app}-marks"


def mark_in(headers: "dict[str, bytes]") -> Mark:
    """Return the mark in a message; one that cannot be read is of no process."""
    incarnation, _, count = headers.get(HEADER, b"").decode(errors="replace").partition("/")
    return Mark(incarnation, int(count)) if count.isdecimal() else Mark("", 0)


class Marking:
    """What of one key is recorded, asked about, and known to last. Counts are those of the process: they only rise."""

    __slots__ = ("_waiting", "asked", "known", "wanted")

    def __init__(self) -> None:
        self.wanted = 0  # up to which count somebody waits
        self.asked = 0  # up to which a mark is under way
        self.known = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def is_due(self) -> bool:
        """Whether a mark is to be sent."""
        return self.wanted > self.asked

    def until(self, count: int) -> "asyncio.Future[None]":
        """Return what ends when all up to a count is known to last."""
        self.wanted = max(self.wanted, count)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, future))
        return future

    def came(self, count: int) -> None:
        """Let go on who waits for no more than a mark says."""
        self.known = max(self.known, count)
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if wanted > self.known:
                self._waiting.append((wanted, future))
            elif not future.done():
                future.set_result(None)


def new_incarnation() -> str:
    """Return a name for this process, which no other one had: a mark of one that died says nothing of this one."""
    return secrets.token_hex(8)
