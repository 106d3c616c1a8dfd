"""How long searches of a collection take, of one worker."""

from collections import deque
from math import ceil

from penstock.core.telemetry.meters import Histogram

RECENT_MAX = 1_000


class SearchTimes:
    """The times of the last searches that were answered, and how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self.took = Histogram()
        self.vectors = Histogram()  # how long the vectors took for the searches of one look
        self._recent_s: deque[float] = deque(maxlen=RECENT_MAX)

    def note(self, took_s: float) -> None:
        self.count += 1
        self._recent_s.append(took_s)
        self.took.observe(took_s)

    def quantile_ms(self, share: float) -> float:
        """Return in which time so large a share of the last 1,000 searches was answered; 0 when there were none."""
        if not self._recent_s:
            return 0.0
        return round(sorted(self._recent_s)[ceil(share * len(self._recent_s)) - 1] * 1000, 3)
