"""What takes space in a store."""

from msgspec import Struct

DAY_MS = 86_400_000


class Used(Struct, frozen=True):
    """Rows of one kind, such as the events of a topic: how many, their bytes, and when the first and the last one were."""

    kind: str
    name: str
    rows: int
    bytes_used: int
    first_ms: int = 0
    last_ms: int = 0

    @property
    def bytes_a_day(self) -> int:
        """Return how fast it grew while it did; 0 when nobody knows."""
        span = self.last_ms - self.first_ms
        return int(self.bytes_used * DAY_MS / span) if span > 0 else 0


class Usage(Struct, frozen=True):
    """All of a store: `free_bytes` are used again before it grows, `log_bytes` are on their way into it."""

    parts: list[Used]
    total_bytes: int
    free_bytes: int = 0
    log_bytes: int = 0
