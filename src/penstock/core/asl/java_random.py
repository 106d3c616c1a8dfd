"""Java's `Random`: what AWS draws from when a seed is given, so that the same seed gives the same numbers here."""

from typing import Final

_MULTIPLIER: Final = 0x5DEECE66D
_ADDEND: Final = 0xB
_MASK: Final = 2**48 - 1
_INT_BITS: Final = 31


class JavaRandom:
    """The 48-bit generator of `java.util.Random`."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = (seed ^ _MULTIPLIER) & _MASK

    def fraction(self) -> float:
        """Return what `nextDouble` does: at least 0 and less than 1."""
        return ((self._next(26) << 27) + self._next(27)) / 2**53

    def below(self, bound: int) -> int:
        """Return what `nextInt(bound)` does, or for a larger bound than an int a share of it."""
        if bound >= 2**_INT_BITS:
            return int(self.fraction() * bound)
        if bound & (bound - 1) == 0:
            return bound * self._next(_INT_BITS) >> _INT_BITS
        while True:
            drawn = self._next(_INT_BITS)
            value = drawn % bound
            if drawn - value + bound - 1 < 2**_INT_BITS:
                return value

    def _next(self, bits: int) -> int:
        self._state = (self._state * _MULTIPLIER + _ADDEND) & _MASK
        return self._state >> (48 - bits)
