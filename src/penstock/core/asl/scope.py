"""What an expression of a state can see, and the only source of chance that it has."""

import hashlib
from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.asl.values import Json


class Absent:
    """No value at all, where null is one."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()


class Chance(Protocol):
    """Where random numbers and UUIDs come from: handed in, so that a replay computes the same values."""

    def fraction(self) -> float:
        """Return the next number, at least 0 and less than 1."""
        ...

    def uuid(self) -> str:
        """Return the next UUID (version 4)."""
        ...


class SeededChance:
    """Numbers that follow from a text, such as the id of a run and the number of an event in it: the same text, the same row."""

    __slots__ = ("_count", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def fraction(self) -> float:
        return int.from_bytes(self._bytes()[:7], "big") / 2**56

    def uuid(self) -> str:
        digits = self._bytes()[:16].hex()
        variant = "89ab"[int(digits[16], 16) % 4]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def _bytes(self) -> bytes:
        self._count += 1
        return hashlib.sha256(f"{self._seed}/{self._count}".encode()).digest()


class Scope(Struct, frozen=True):
    """The data of one state at one moment.

    `input` is what `$` means: the state's input at first, then the effective input, the result... as the fields are worked
    through. In JSONata it is `$states.input`, beside `result` and `error_output`, which only some fields may see.
    """

    input: Json
    context: Mapping[str, Json]
    chance: Chance
    variables: Mapping[str, Json]
    result: "Json | Absent" = ABSENT
    error_output: "Json | Absent" = ABSENT
    now_ms: int = 0
    """The moment of the state's entry: what JSONata's `$now()` and `$millis()` give, in every replay."""

    def over(self, value: Json) -> "Scope":
        """Return the same scope over another `$`."""
        return Scope(
            value, self.context, self.chance, self.variables, self.result, self.error_output, self.now_ms
        )  # `replace` is slower, and this is done for every field

    def within(self, context: Mapping[str, Json]) -> "Scope":
        """Return the same scope with more in its context object."""
        return replace(self, context={**self.context, **context})

    def ended(self, result: Json) -> "Scope":
        """Return the same scope, in which the state's work has a result."""
        return replace(self, result=result)

    def failed(self, error_output: Json) -> "Scope":
        """Return the same scope, as a catcher sees it."""
        return replace(self, error_output=error_output)
