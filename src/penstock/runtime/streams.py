"""The streams of the runs under way: who follows one gets a piece at once, the store gets many together.

- A commit takes what a run told with the run's steps and its end, so what is recorded has its pieces in the store. Otherwise it
  takes what has waited for `FLUSH_S`, or is much: a row holds many pieces.
- A piece keeps its offset for ever. Nobody is shown an offset more than `AHEAD_MAX` above what is durable, and who resumes a run
  goes on above that: so no process gives out an offset that another one, which died, may have shown.
- Pieces within a step stand once the step is recorded. All others of an attempt that ended badly are taken back by a `reset`.
- Whoever follows holds an offset and no pieces: one who is slow reads on from the store, and slows nobody down.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from typing import Any

from msgspec.msgpack import decode

from penstock.core.agents.journal import Journal, encode_value
from penstock.core.agents.pieces import ITEM, RESET, TOKEN, Piece, Span, decode_pieces, reset
from penstock.core.events.texts import storable
from penstock.errors import LimitReached, PenstockError
from penstock.ports.streams import StreamStore
from penstock.runtime.committer import Committer
from penstock.runtime.releases import Releases
from penstock.runtime.run_streams import RunStreams, Stream, Teller, Waiting, within

FLUSH_S = 0.25
FOLLOWED_FLUSH_S = 0.02  # of a run that is followed through another worker
FOLLOWED_S = 30.0  # so long, if nobody says so again
NEWS_REST_S = 0.01  # what others commit within it is looked at together
FLUSH_BYTES = 16 * 1024
FLUSH_PIECES = 256
STREAM_BYTES_MAX = 8 * 1024 * 1024  # of the pieces that stand
PIECE_BYTES_MAX = 256 * 1024
PIECE_BYTES = 16  # what a piece counts beside its text
NAME_BYTES_MAX = 256
STREAMS_MAX = 32  # of one run
FOLLOWERS_MAX = 16_384
CHUNKS = 64  # read at once


class Streams:
    """The streams of an engine."""

    def __init__(self, committer: Committer, releases: Releases, store: StreamStore) -> None:
        self.runs: dict[str, RunStreams] = {}
        self._committer = committer
        self._releases = releases
        self._store = store
        self._timer: asyncio.TimerHandle | None = None
        self._followers = 0
        self._elsewhere: dict[str, float] = {}  # runs that are followed through other workers, and until when
        self._looking: asyncio.TimerHandle | None = None
        self._failure: PenstockError | None = None
        releases.streamed, releases.on_over = self.runs, self._over

    # telling

    def token(self, teller: Teller, stream: str, text: str, name: str) -> int:
        """Append a text to a stream of a run, and return its offset; `LimitReached` beyond the bounds."""
        size = len(storable("a piece", text, PIECE_BYTES_MAX)) + PIECE_BYTES
        return self._tell(teller, stream, Piece(TOKEN, teller.run_id, name, text, provisional=True), size)

    def item(self, teller: Teller, stream: str, value: Any, name: str) -> int:
        """Append plain data to a stream of a run, and return its offset; `Invalid` for what cannot be stored."""
        body = encode_value(value, f"a piece of stream {stream!r}")
        if len(body) > PIECE_BYTES_MAX:
            raise LimitReached("the length of a piece, in bytes,", len(body), PIECE_BYTES_MAX)
        piece = Piece(ITEM, teller.run_id, name, data=decode(body), provisional=True)
        return self._tell(teller, stream, piece, len(body) + PIECE_BYTES)

    def _tell(self, teller: Teller, name: str, piece: Piece, size: int) -> int:
        run = self.runs.get(teller.run_id)
        if run is None or run.teller is not teller:
            run = self._begun(teller)
        stream = run.streams.get(name)
        if stream is None:
            stream = self._named(run, teller, name)
        if stream.bytes + size > STREAM_BYTES_MAX:
            raise LimitReached(f"stream {name!r} of {teller.run_id}, in bytes,", stream.bytes + size, STREAM_BYTES_MAX)
        if stream.is_stale:
            self._reset(run, stream, [], teller.attempt)
        return self._append(run, stream, piece, size)

    def _append(self, run: RunStreams, stream: Stream, piece: Piece, size: int) -> int:
        teller = run.teller
        assert teller is not None
        offset = stream.next
        placed = Piece(
            piece.kind,
            teller.run_id,
            piece.name,
            piece.text,
            piece.data,
            provisional=True,
            offset=offset,
            step="" if piece.kind == RESET else within.get(),
            stream=stream.name,
            attempt=piece.attempt or teller.attempt,
        )
        stream.next = offset + 1
        stream.held.append(placed)
        stream.stands(placed, size, teller.journal)
        run.waiting += 1
        run.waiting_bytes += size
        self._committer.streaming[teller.run_id] = run
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        if self._elsewhere and not (run.is_due or run.is_soon):
            self._soon(run, teller.run_id)
        if not run.is_due and (run.waiting >= FLUSH_PIECES or run.waiting_bytes >= FLUSH_BYTES):
            self._due(run)
        if run.followers:
            run.wake()
        if piece.kind == TOKEN and self._releases.heard(teller.correlation_id):
            self._releases.tell(teller.correlation_id, placed)
        return offset

    def _begun(self, teller: Teller) -> RunStreams:
        """Return the streams of a run that tells for the first time here, or in another attempt."""
        run = self.runs.get(teller.run_id)
        if run is None or run.is_over:
            run = self.runs[teller.run_id] = RunStreams()
        run.teller = teller
        return run

    def _named(self, run: RunStreams, teller: Teller, name: str) -> Stream:
        storable("the name of a stream", name, NAME_BYTES_MAX)
        if len(run.streams) >= STREAMS_MAX:
            raise LimitReached(f"the number of streams of {teller.run_id}", len(run.streams) + 1, STREAMS_MAX)
        stream = run.streams[name] = Stream(name, is_stale=teller.journal.recalled)
        return stream

    # attempts

    def rewind(self, run_id: str, attempt: int) -> None:
        """Take back what an attempt that failed told outside of recorded steps; `attempt` is the next one."""
        run = self.runs.get(run_id)
        if run is not None and run.teller is not None:
            self._take_back(run, _unrecorded(run.teller.journal), attempt)

    def withdraw(self, run_id: str, step: str) -> None:
        """Take back what was told within a step that failed."""
        run = self.runs.get(run_id)
        if run is not None and run.teller is not None:
            self._take_back(run, lambda each: each == step, run.teller.attempt)

    def settle(self, run_id: str) -> None:
        """Take back what was told within steps that nobody waited for, before a run ends well."""
        run = self.runs.get(run_id)
        if run is not None and run.teller is not None:
            unrecorded = _unrecorded(run.teller.journal)
            self._take_back(run, lambda step: step != "" and unrecorded(step), run.teller.attempt)

    def next_round(self, run_id: str) -> dict[str, int]:
        """Let all stand that a run told so far, but for steps that nobody waited for; return where each stream goes on."""
        run = self.runs.get(run_id)
        if run is None:
            return {}
        self.settle(run_id)
        for stream in run.streams.values():
            stream.keep()
        return {name: stream.next for name, stream in run.streams.items()}

    async def recall(self, teller: Teller) -> None:
        """Learn what earlier processes told of a run that goes on here, and take back what no longer stands."""
        found: dict[str, Stream] = {}
        for end in await self._store.streams(teller.tenant, teller.run_id):
            stream = found[end.name] = Stream(end.name, durable=end.next, is_stale=True)
            kept_to = teller.journal.told(end.name)
            async for piece in self._stored(teller, end.name):
                if kept_to and piece.offset >= kept_to:
                    kept_to = 0
                    stream.keep()
                stream.stands(piece, _size(piece), teller.journal)
            if kept_to:
                stream.keep()
        run = self._begun(teller)
        run.streams = found
        self._take_back(run, _unrecorded(teller.journal), teller.attempt)
        run.wake()

    async def _stored(self, teller: Teller, name: str) -> AsyncGenerator[Piece]:
        from_offset = 0
        while chunks := await self._store.pieces(
            teller.tenant, teller.run_id, name, from_offset=from_offset, limit=CHUNKS
        ):
            for chunk in chunks:
                for piece in decode_pieces(chunk):
                    yield piece
            from_offset = chunks[-1].first + chunks[-1].count

    def _take_back(self, run: RunStreams, gone: Callable[[str], bool], attempt: int) -> None:
        for stream in run.streams.values():
            dropped = stream.take_back(gone)
            if dropped:
                self._reset(run, stream, dropped, attempt)

    def _reset(self, run: RunStreams, stream: Stream, dropped: list[Span], attempt: int) -> None:
        if stream.is_stale:
            dropped = [*dropped, (stream.durable, stream.next)]  # whatever was shown and is lost
            stream.is_stale = False
        self._append(run, stream, reset(dropped, attempt), PIECE_BYTES)
        self._due(run)

    # writing

    def flush(self) -> None:
        """Have the next commit take all that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for run in self._committer.streaming.values():
            run.is_due = True
        if self._committer.streaming:
            self._committer.wake()

    def _due(self, run: RunStreams) -> None:
        run.is_due = True
        self._committer.wake()

    # following

    def followed_elsewhere(self, run_id: str) -> None:
        """Have what a run tells come to the store soon, for a while."""
        now_s = asyncio.get_running_loop().time()
        if len(self._elsewhere) >= FOLLOWERS_MAX:
            self._elsewhere = {each: until_s for each, until_s in self._elsewhere.items() if until_s > now_s}
        self._elsewhere[run_id] = now_s + FOLLOWED_S
        run = self.runs.get(run_id)
        if run is not None and run.waiting:
            self._due(run)

    def _soon(self, run: RunStreams, run_id: str) -> None:
        until_s = self._elsewhere.get(run_id)
        if until_s is None:
            return
        loop = asyncio.get_running_loop()
        if until_s < loop.time():
            del self._elsewhere[run_id]
            return
        run.is_soon = True
        loop.call_later(FOLLOWED_FLUSH_S, self._due_now, run)

    def _due_now(self, run: RunStreams) -> None:
        run.is_soon = False
        if run.waiting:
            self._due(run)

    def news(self) -> None:
        """Another worker has committed something: those who follow its runs look again."""
        if self._followers and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(NEWS_REST_S, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        for run in self.runs.values():
            if run.teller is None and run.followers:
                run.wake()

    @contextmanager
    def following(self, run_id: str, follower: Waiting) -> Generator[RunStreams]:
        """Wake a follower when something is told, or the run is over."""
        if self._followers >= FOLLOWERS_MAX:
            raise LimitReached("the number of followers", self._followers + 1, FOLLOWERS_MAX)
        run = self.runs.get(run_id)
        if run is None:
            run = self.runs[run_id] = RunStreams()
        run.followers.append(follower)
        if self._failure is not None:
            follower.fail(self._failure)
        self._followers += 1
        try:
            yield run
        finally:
            self._followers -= 1
            run.followers.remove(follower)
            is_idle = run.is_over or run.teller is None
            if not run.followers and is_idle and self.runs.get(run_id) is run:
                del self.runs[run_id]

    def _over(self, run_id: str) -> None:
        """The end of a run is durable."""
        run = self.runs.get(run_id)
        if run is None:
            return
        run.is_over = True
        if run.followers:
            run.wake()
        else:
            del self.runs[run_id]

    def give_up(self, partition: int) -> None:
        """Forget what another worker goes on with: who follows reads on from the store."""
        for run_id, run in [*self.runs.items()]:
            if run.teller is not None and run.teller.partition == partition:
                self._committer.streaming.pop(run_id, None)
                run.is_over = True
                run.wake()
                del self.runs[run_id]

    def broken(self, error: PenstockError) -> None:
        """Nothing more will come."""
        self._failure = error
        for timer in (self._timer, self._looking):
            if timer is not None:
                timer.cancel()
        for run in self.runs.values():
            for follower in run.followers:
                follower.fail(error)


class StreamWriter:
    """A stream of a run in the hands of its handler."""

    __slots__ = ("_name", "_streams", "_teller")

    def __init__(self, streams: Streams, teller: Callable[[], Teller], name: str) -> None:
        self._streams = streams
        self._teller = teller
        self._name = name

    def write(self, piece: Any, *, name: str = "") -> int:
        """Append a piece, and return its offset: a text is a token, anything else plain data.

        Followers get it at once; it is provisional until it is durable, and taken back if this attempt, or the step within
        which it is written, fails. Raises `LimitReached` beyond 8 MiB, and `Invalid` for what cannot be stored.
        """
        if isinstance(piece, str):
            return self._streams.token(self._teller(), self._name, piece, name)
        return self._streams.item(self._teller(), self._name, piece, name)


def _unrecorded(journal: Journal) -> Callable[[str], bool]:
    return lambda step: journal.find(step) is None


def _size(piece: Piece) -> int:
    return (len(piece.text) if piece.kind == TOKEN else len(encode_value(piece.data, "a piece"))) + PIECE_BYTES
