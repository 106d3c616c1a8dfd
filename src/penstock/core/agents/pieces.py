"""What a run tells on its way: pieces in streams, and their stored form.

- An offset means one piece for ever. Offsets of a stream begin at 0 and grow; a process that dies leaves a hole behind, since
  nobody knows which offsets it had shown already.
- An attempt that is given up leaves its pieces where they are. A `reset` then names those that no longer stand (a hole too), so
  a reader never mixes the texts of two attempts: `standing` says what is left.
- Pieces of one step are stored as one group: a row holds many pieces, and a token costs little more than its text.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.errors import Finding, Invalid

Span = tuple[int, int]  # offsets, the first one and the one after the last
TOKEN, ITEM, RESET, ENDED = "token", "item", "reset", "ended"


class Piece(Struct, frozen=True):
    """Something that happened on the way from one event to its answers.

    Of a stream: `token` (text), `item` (data), `reset` (data: the `dropped` offsets, as pairs of first and end), `ended` (text:
    the status of the run). Of all that follows from an event: `token`, `step`, `event`,
    `succeeded`, `retrying`, `failed`, `lagged`.
    """

    kind: str
    run_id: str = ""
    name: str = ""  # of the prompt that is answered, the step, the event type
    text: str = ""
    data: Any = None
    provisional: bool = False  # told before it was durable
    offset: int = -1  # within its stream
    step: str = ""  # within which it was told
    stream: str = ""
    attempt: int = 0


class StreamChunk(Struct):
    """Pieces of one stream of a run, in order and without a hole between them."""

    run_id: str
    partition: int
    tenant: str
    name: str
    first: int  # offset of the first piece
    count: int
    body: bytes


class StreamEnd(Struct, frozen=True):
    """How far a stream is durable."""

    name: str
    next: int  # the offset that follows the last durable piece
    bytes: int
    chunks: int


class _Group(Struct, array_like=True):
    """Pieces in a row that differ in nothing but their value. New fields go to the end, with a default."""

    kind: str
    step: str
    name: str
    attempt: int
    values: list[Any]


_groups = msgspec.msgpack.Decoder(list[_Group])


def encode_pieces(pieces: Sequence[Piece]) -> bytes:
    """Return the stored form of some pieces that follow one another."""
    groups: list[_Group] = []
    for piece in pieces:
        last = groups[-1] if groups else None
        if last is None or (last.kind, last.step, last.name, last.attempt) != _alike(piece):
            last = _Group(*_alike(piece), [])
            groups.append(last)
        last.values.append(piece.text if piece.kind == TOKEN else piece.data)
    return msgspec.msgpack.encode(groups)


def decode_pieces(chunk: StreamChunk) -> list[Piece]:
    """Return the pieces in a chunk; `Invalid` when it is damaged."""
    try:
        groups = _groups.decode(chunk.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("a stored stream", (Finding("body", str(error), "restore a backup"),)) from error
    found: list[Piece] = []
    for group in groups:
        for value in group.values:
            text, data = (value, None) if group.kind == TOKEN else ("", value)
            found.append(
                Piece(
                    group.kind,
                    chunk.run_id,
                    group.name,
                    text,
                    data,
                    offset=chunk.first + len(found),
                    step=group.step,
                    stream=chunk.name,
                    attempt=group.attempt,
                )
            )
    return found


def reset(dropped: Iterable[Span], attempt: int) -> Piece:
    """Return the piece that says which pieces no longer stand; `attempt` is the one that begins."""
    return Piece(RESET, data={"dropped": [list(span) for span in joined(dropped)]}, attempt=attempt)


def dropped_by(piece: Piece) -> list[Span]:
    """Return the offsets that a reset takes back."""
    return [(first, end) for first, end in piece.data["dropped"]]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that touch as one."""
    found: list[Span] = []
    for first, end in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found


def standing(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces of a stream that no later reset takes back, resets and the end left out."""
    kept: list[Piece] = []
    for piece in pieces:
        if piece.kind == RESET:
            gone = dropped_by(piece)
            kept = [each for each in kept if not any(first <= each.offset < end for first, end in gone)]
        elif piece.kind in (TOKEN, ITEM):
            kept.append(piece)
    return kept


def _alike(piece: Piece) -> tuple[str, str, str, int]:
    return piece.kind, piece.step, piece.name, piece.attempt
