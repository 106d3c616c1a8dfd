"""Which numbers of an event pattern can be compared, and as what.

The rule is event-ruler's: a number counts as a number when the double nearest to it, written as short as possible, is that
number again. Everything that JSON libraries write for a double does; `9007199254740993` and numbers of twenty digits do not.
Those equal only what is written alike, lie in no range, and no operator takes them.
"""

import math
from decimal import Decimal

Number = int | float | Decimal
Key = int | float | str
"""What equal numbers share: the number where it can be compared, else its text."""

_EXACT_MAX = 1 << 53


def number_key(value: Number) -> Key:
    """Return what two numbers share exactly when a pattern takes them for equal."""
    if isinstance(value, int) and -_EXACT_MAX <= value <= _EXACT_MAX:
        return value
    try:
        nearest = float(value)
    except OverflowError:
        return str(value)
    if not math.isfinite(nearest):
        return str(value)
    if isinstance(value, float) or Decimal(repr(nearest)) == value:
        return nearest
    return str(value)
