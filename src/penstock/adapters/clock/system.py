"""The machine's own clock and chance. Ids are ULIDs: 48 bits of milliseconds, 80 of chance, in Crockford's base 32."""

import asyncio
import random
import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHANCE_BITS = 80
_LOW = (1 << 20) - 1  # what the last four characters say
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]


class SystemClock:
    """Time from the machine. Within one millisecond ids count upwards from a random start (ULID's monotonic form)."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._chance = 0
        self._high = ""  # all characters of the last id but those of its lowest bits

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def new_id(self) -> str:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            self._chance = secrets.randbits(_CHANCE_BITS - 1)  # the top bit is room to count
            self._high = ""
        else:  # the same millisecond, or a clock that was set back
            self._chance += 1
        low = self._chance & _LOW
        if not (low and self._high):
            number = (self._last_ms << _CHANCE_BITS) | self._chance
            self._high = "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, 10, -10)])
        return self._high + _PAIRS[low >> 10] + _PAIRS[low & 1023]

    def random(self) -> float:
        return random.random()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
