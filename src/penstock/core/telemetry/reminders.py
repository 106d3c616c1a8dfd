"""What lasts and must not stay silent: it is said at once, then once a period, and once more when it is over."""

PERIOD_S = 60.0
HELD_MAX = 256


class Reminders:
    """Knows what was said, and when. Whoever asks says it."""

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self._period_s = period_s
        self._said_s: dict[str, float] = {}

    def is_due(self, what: str, now_s: float) -> bool:
        """Whether something that goes on is to be said now; then it counts as said."""
        said_s = self._said_s.get(what)
        if said_s is not None and 0 <= now_s - said_s < self._period_s:
            return False
        self._said_s[what] = now_s
        if len(self._said_s) > HELD_MAX:
            del self._said_s[next(iter(self._said_s))]
        return True

    def is_over(self, what: str) -> bool:
        """Whether something that was said is to be said to be over; once."""
        return self._said_s.pop(what, None) is not None
