"""Proofs that something was forgotten: Ed25519 signatures, bytes looked for in files, archives without what went."""

import asyncio
import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from penstock.adapters.exports.jsonl import JsonlReader, open_jsonl_writer
from penstock.core.exports.lines import BlobLine, End, Line, decode_line, encode_line
from penstock.errors import Missing
from penstock.ports.witness import Searched, Trace

PIECE_BYTES = 4 * 1024 * 1024
FOUND_MAX = 100
_COMPRESSED = b"\x1f\x8b"
_BLOB = re.compile(rb'"blob":"([0-9a-f]{64})"')


class Proofs:
    """A `Witness`. `archive`: the folder to which an app's events go before they go."""

    def __init__(self, archive: str = "") -> None:
        self.archive = archive

    def signed(self, secret: bytes, body: bytes) -> tuple[bytes, bytes]:
        library = _library()
        seed = blake2b(digest_size=32, key=secret, person=b"penstock receipt").digest()
        key = library.Ed25519PrivateKey.from_private_bytes(seed)
        return key.public_key().public_bytes_raw(), key.sign(body)

    def is_signed(self, public_key: bytes, signature: bytes, body: bytes) -> bool:
        try:
            _library().Ed25519PublicKey.from_public_bytes(public_key).verify(signature, body)
        except (ValueError, import_module("cryptography.exceptions").InvalidSignature):
            return False
        return True

    async def searched(self, places: Sequence[str], needles: Sequence[bytes]) -> Searched:
        return await asyncio.to_thread(_searched, places, needles)

    async def archived(self, is_kept: Callable[[Line], bool]) -> int:
        return await asyncio.to_thread(_archived, self.archive, is_kept) if self.archive else 0


def _searched(places: Sequence[str], needles: Sequence[bytes]) -> Searched:
    files, size, found = 0, 0, list[Trace]()
    for path in _files(places):
        try:
            with path.open("rb") as file:
                files += 1
                head = file.read(len(_COMPRESSED))
                file.seek(0)
                size += _look(path, file, needles, found)
                if head == _COMPRESSED:
                    file.seek(0)
                    with gzip.open(file) as inner:
                        size += _look(path, inner, needles, found)
        except (FileNotFoundError, EOFError, gzip.BadGzipFile):  # it went meanwhile, or is being written
            continue
    return Searched(files, size, tuple(found[:FOUND_MAX]))


def _files(places: Sequence[str]) -> Iterator[Path]:
    for place in (Path(each).expanduser() for each in places):
        if place.is_dir():
            yield from (each for each in sorted(place.rglob("*")) if each.is_file())
        elif place.is_file():
            yield place


def _look(path: Path, file: IO[bytes] | Any, needles: Sequence[bytes], found: list[Trace]) -> int:
    """Look through one file in pieces that overlap by the longest text, and return how many bytes it has."""
    overlap = max(map(len, needles), default=1) - 1
    before, start, size = b"", 0, 0
    while piece := file.read(PIECE_BYTES):
        size += len(piece)
        body = before + piece
        for number, needle in enumerate(needles):
            at = body.find(needle)
            if at >= 0 and len(found) < FOUND_MAX and not any((t.file, t.needle) == (str(path), number) for t in found):
                found.append(Trace(str(path), start + at, number))
        keep = min(overlap, len(body))
        start += len(body) - keep
        before = body[len(body) - keep :] if keep else b""
    return size


def _archived(folder: str, is_kept: Callable[[Line], bool]) -> int:
    """Leave out lines that are not to be kept, and large values that only they referred to."""
    gone = 0
    for path in sorted(Path(folder).expanduser().glob("*/*.jsonl.gz")):
        lines = [decode_line(body) for _, body in JsonlReader(path).lines()]
        kept = [each for each in lines if isinstance(each, End) or is_kept(each)]
        if len(kept) == len(lines):
            continue
        used = {digest.decode() for each in kept for digest in _BLOB.findall(encode_line(each))}
        kept = [each for each in kept if not isinstance(each, BlobLine) or each.digest in used]
        gone += len(lines) - len(kept)
        with open_jsonl_writer(path) as writer:  # beside it, and then in its place
            for each in kept:
                if not isinstance(each, End):
                    writer.write(each)
    return gone


def _library() -> Any:
    try:
        return import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    except ImportError as error:
        what = "cryptography, which signs receipts,"
        raise Missing(what, "pip install 'penstock[erasure]'") from error
