"""Who proves that something was forgotten: signs the receipt, looks into files, and has archives made anew."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from penstock.core.exports.lines import Line


class Trace(Struct, frozen=True):
    """Where a text was found: in which file, from which byte on, and which of the texts it was."""

    file: str
    offset: int
    needle: int


class Searched(Struct, frozen=True):
    """What was looked through, and where something was found (the first 100)."""

    files: int = 0
    bytes: int = 0
    found: tuple[Trace, ...] = ()


class Witness(Protocol):
    """What is proven from outside of a store."""

    def signed(self, secret: bytes, body: bytes) -> tuple[bytes, bytes]:
        """Return the public key that belongs to a secret, and the signature of some bytes."""
        ...

    def is_signed(self, public_key: bytes, signature: bytes, body: bytes) -> bool: ...

    async def searched(self, places: Sequence[str], needles: Sequence[bytes]) -> Searched:
        """Look for texts in files, and in all files of folders; compressed ones are looked into, too."""
        ...

    async def archived(self, is_kept: Callable[[Line], bool]) -> int:
        """Make those files of the archive anew that have a line which is not to be kept; return how many lines went."""
        ...

    @property
    def archive(self) -> str:
        """The folder of the archive; empty when there is none."""
        ...
