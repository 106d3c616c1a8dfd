"""How a silent key of a stream is woken up: by a durable timer (C11), one for all that may become due."""

from penstock.core.streams.values import StreamTick
from penstock.runtime.context import Context

WAIT_S_MIN = 1.0  # a timer that wakes its own agent up is no loop when it waits so long


class Wakes:
    """The timer of a key for one operator, such as the window or the join of that name."""

    def __init__(self, tick: type[StreamTick], operator: str, name: str) -> None:
        self._tick = tick
        self._name = name
        self._timer = f"{operator} {name}"

    def set(self, ctx: Context, due_ms: int, known_ms: int, now_ms: int = 0) -> int:
        """Have the key woken up when something is due (0: nothing is), unless it is before; return when it is.

        `known_ms`: when it is by now; `now_ms`: the time of the event that is handled, unless given.
        """
        if not due_ms or (known_ms and due_ms >= known_ms):
            return known_ms
        now_ms = now_ms or ctx.event.time_ms
        wait_s = max((due_ms - now_ms) / 1000, WAIT_S_MIN)
        at_ms = max(due_ms, now_ms + round(WAIT_S_MIN * 1000))
        ctx.emit(self._tick(key=ctx.key, window=self._name, due_ms=at_ms), after_s=wait_s, timer=self._timer)
        return at_ms
