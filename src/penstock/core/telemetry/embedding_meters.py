"""What an embedder that is watched says of its calls."""

from typing import Protocol, runtime_checkable

from penstock.core.telemetry.meters import Histogram


@runtime_checkable
class EmbedderMeter(Protocol):
    """Figures of an embedder."""

    @property
    def name(self) -> str: ...
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def took(self) -> Histogram: ...
