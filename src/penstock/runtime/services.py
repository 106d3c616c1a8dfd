"""The parts of an engine that a handler's context works with."""

from dataclasses import dataclass

from penstock.ports.clock import Clock
from penstock.runtime.committer import Committer
from penstock.runtime.memory import Memory
from penstock.runtime.models import Models
from penstock.runtime.releases import Piece, Releases


@dataclass(frozen=True, slots=True)
class Services:
    """Handed to every context."""

    clock: Clock
    committer: Committer
    memory: Memory
    releases: Releases
    models: Models

    def told_when_durable(self, correlation_id: str, piece: Piece) -> None:
        """Tell listeners after the next commit."""
        self.committer.add(lambda: self.releases.tell(correlation_id, piece))
