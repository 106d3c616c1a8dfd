"""Where the streams of runs are read. Its contract, as tests: `penstock.testing.stream_contract`.

They are written by commits of the `StateStore` (`Writes.streams`), and deleted with their run.
"""

from collections.abc import Sequence
from typing import Protocol

from penstock.core.agents.pieces import StreamChunk, StreamEnd


class StreamStore(Protocol):
    """The pieces that runs told on their way.

    Every implementation guarantees:

    P1 order      `pieces` returns the chunks of a stream in the order of their offsets, each once.
    P2 together   A chunk is there exactly if its commit is; what `commit` returned from survives a kill of every process.
    P3 offset     Reading begins with the chunk that holds the offset, or else with the next one after it.
    P4 isolation  Tenants, runs and streams do not see each other's pieces (C10).
    P5 fencing    A commit with a chunk that begins where the stream has a chunk already is `Fenced`, as S2 says.
    P6 known      `StateStore.run` says whether a run has streams.
    """

    async def pieces(
        self, tenant: str, run_id: str, name: str, *, from_offset: int, limit: int
    ) -> Sequence[StreamChunk]:
        """Return up to `limit` chunks of a stream."""
        ...

    async def streams(self, tenant: str, run_id: str) -> Sequence[StreamEnd]:
        """Return how far each stream of a run is durable, by name."""
        ...
