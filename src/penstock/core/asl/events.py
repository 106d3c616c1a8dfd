"""Writing the history: what is told of a thread, with the event that it followed."""

from collections.abc import Mapping
from typing import Any, Final

from penstock.core.asl.run import Run, Thread

NOTHING: Final[Mapping[str, Any]] = {}


def tell(run: Run, thread: Thread, type: str, details: Mapping[str, Any] = NOTHING) -> int:
    """Add an event that follows the thread's last one, and return its number."""
    thread.last = thread.history.add(type, thread.last, run.now_ms, details)
    return thread.last
