"""The streams of one run under way: which of their pieces are durable, which may be taken back, who waits for more."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

from msgspec import Struct

from penstock.core.agents.journal import Journal
from penstock.core.agents.pieces import RESET, Piece, Span, StreamChunk, dropped_by, encode_pieces
from penstock.errors import PenstockError

OFFSET_MAX = (1 << 62) - 1
AHEAD_MAX = 1024  # pieces that are shown and not durable
OPEN_MIN = 64  # spans from which on it pays to look for those that stand
within: ContextVar[str] = ContextVar("penstock_step", default="")  # the step that is being executed


class Teller(Struct, frozen=True):
    """The run that tells."""

    run_id: str
    tenant: str
    partition: int
    correlation_id: str
    journal: Journal
    attempt: int = 1


class Waiting(Protocol):
    """One who follows a stream."""

    def wake(self) -> None: ...
    def fail(self, error: PenstockError) -> None: ...


class _Open(Struct):
    """Pieces in a row that were told within one step, and may be taken back."""

    step: str
    first: int
    end: int
    bytes: int


class Stream:
    """One stream of one run under way."""

    __slots__ = ("_open", "_sweep_at", "bytes", "durable", "held", "is_stale", "name", "next", "taken")

    def __init__(self, name: str, *, durable: int = 0, is_stale: bool = False) -> None:
        self.name = name
        self.durable = durable  # what is below is in the store
        self.next = durable + AHEAD_MAX if is_stale else durable
        self.is_stale = is_stale  # an earlier process may have shown pieces that nobody knows
        self.held: list[Piece] = []  # not durable yet, in order, without a hole
        self.taken = 0  # how many of them commits have taken
        self.bytes = 0
        self._open: list[_Open] = []
        self._sweep_at = OPEN_MIN

    def stands(self, piece: Piece, size: int, journal: Journal) -> None:
        """Note a piece, which stands until a reset takes it back."""
        if piece.kind == RESET:
            gone = dropped_by(piece)
            self._drop([each for each in self._open if any(a <= each.first and each.end <= b for a, b in gone)])
            return
        self.bytes += size
        last = self._open[-1] if self._open else None
        if last is not None and last.step == piece.step and last.end == piece.offset:
            last.end += 1
            last.bytes += size
            return
        self._open.append(_Open(piece.step, piece.offset, piece.offset + 1, size))
        if len(self._open) > self._sweep_at:
            self._open = [each for each in self._open if journal.find(each.step) is None]
            self._sweep_at = max(OPEN_MIN, 2 * len(self._open))

    def keep(self) -> None:
        """Nothing of what was told so far is taken back any more."""
        self._open.clear()

    def take_back(self, gone: Callable[[str], bool]) -> list[Span]:
        """Return the pieces of the steps that are `gone`, which no longer stand."""
        dropped = [each for each in self._open if gone(each.step)]
        self._drop(dropped)
        return [(each.first, each.end) for each in dropped]

    def _drop(self, dropped: list[_Open]) -> None:
        if dropped:
            self._open = [each for each in self._open if each not in dropped]
            self.bytes -= sum(each.bytes for each in dropped)

    def shown(self, from_offset: int) -> Piece | None:
        """Return the first piece from an offset on that is in memory and may be shown."""
        if not self.held:
            return None
        index = max(0, from_offset - self.held[0].offset)
        if index >= len(self.held):
            return None
        piece = self.held[index]
        return piece if piece.offset < self.durable + AHEAD_MAX else None

    def landed(self, end: int) -> bool:
        """All before `end` is durable. Return whether there are pieces that could not be shown before."""
        was_ahead = self.next > self.durable + AHEAD_MAX
        count = end - self.held[0].offset
        del self.held[:count]
        self.taken -= count
        self.durable = end
        return was_ahead


class RunStreams:
    """The streams of one run, and who follows them."""

    __slots__ = ("followers", "is_due", "is_over", "is_soon", "streams", "teller", "waiting", "waiting_bytes")

    def __init__(self, teller: Teller | None = None) -> None:
        self.teller = teller  # None while it has told nothing here
        self.streams: dict[str, Stream] = {}
        self.followers: list[Waiting] = []
        self.waiting = 0  # pieces that no commit has taken
        self.waiting_bytes = 0
        self.is_due = False
        self.is_soon = False  # whether it is due in a moment
        self.is_over = False

    def wake(self) -> None:
        for each in self.followers:
            each.wake()

    def take(self) -> tuple[list[StreamChunk], Callable[[], None]]:
        """Return what no commit has taken, and what to call once it is durable."""
        assert self.teller is not None
        chunks: list[StreamChunk] = []
        ends: list[tuple[Stream, int]] = []
        for stream in self.streams.values():
            pieces = stream.held[stream.taken :]
            if pieces:
                teller, first = self.teller, pieces[0].offset
                body = encode_pieces(pieces)
                chunks.append(
                    StreamChunk(teller.run_id, teller.partition, teller.tenant, stream.name, first, len(pieces), body)
                )
                stream.taken = len(stream.held)
                ends.append((stream, stream.next))
        self.is_due, self.waiting, self.waiting_bytes = False, 0, 0
        return chunks, lambda: self._landed(ends)

    def _landed(self, ends: list[tuple[Stream, int]]) -> None:
        could_show_more = False
        for stream, end in ends:
            could_show_more |= stream.landed(end)
        if could_show_more:
            self.wake()
