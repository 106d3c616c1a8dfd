"""A process of our own: the event loop and the interpreter as an engine wants them.

Only commands use this. An app that runs inside somebody else's program leaves that program's settings alone.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
SWITCH_INTERVAL_S = 0.0005  # the writer's thread gets the interpreter back 10 times sooner than by default
YOUNG_OBJECTS = 20_000


def run_tuned(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end, and return what it returns: on uvloop where it is installed, with a calmer collector.

    What was loaded before is left out of garbage collections, and these come less often: nothing that a turn makes is part
    of a cycle. Measured by `penstock bench turns`: see docs/decisions/0002.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(work)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return how the quickest event loop at hand is made; None for asyncio's own."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # it has no build for this platform
        return None
    return new_event_loop
