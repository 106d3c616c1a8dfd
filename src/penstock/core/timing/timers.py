"""What waits for its time: a timer holds the event that it appends when it is due.

There are two clocks to be due by. `elapsed`: so long after it was set, by whichever clock says so first, that which never goes
back or that on the wall; so a clock that is set back makes no wait longer than asked. `wall`: when clocks show the time.
"""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from penstock.core.events.envelope import EMITTED_TAIL_BYTES, Envelope
from penstock.errors import Finding, Invalid

TimerClock: TypeAlias = Literal["elapsed", "wall"]
CLOCKS: Final[tuple[TimerClock, ...]] = ("elapsed", "wall")
WAIT_DAYS_MAX: Final = 36_525
_WAIT_S_MAX = WAIT_DAYS_MAX * 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Place: TypeAlias = tuple[int, str]  # when a timer is due, and its id: where it stands among the others of its clock
FIRST: Final[Place] = (-(2**62), "")


class Timer(Struct, frozen=True):
    """An event to append, and when. It belongs to the partition of whoever set it."""

    id: str
    partition: int
    clock: TimerClock
    due_ms: int
    set_ms: int  # what `clock` showed when it was set
    topic: str
    event: Envelope
    agent: str = ""  # whose it is, if it has a name
    name: str = ""

    @property
    def place(self) -> Place:
        return self.due_ms, self.id


class TimerWrite(Struct):
    """A timer that is set, or, without one, removed. The last write of an id wins."""

    id: str
    timer: Timer | None = None


class When(Struct, frozen=True):
    """When something is to happen: `after_s` from now, or `at_ms` on the wall."""

    after_s: float | None = None
    at_ms: int | None = None


def when(after_s: object, at: object) -> When | None:
    """Return when it is to be, None for at once; `Invalid` with all findings for what is no time.

    `after_s`: a number of seconds, 0 or more. `at`: a `datetime` that knows its zone, or such a time as RFC 3339 has it.
    """
    if after_s is None and at is None:
        return None
    findings: list[Finding] = []
    if after_s is not None and at is not None:
        findings.append(Finding("at", "is given beside after_s", "give one of them"))
    if after_s is not None and not _is_wait(after_s):
        findings.append(Finding("after_s", f"is {after_s!r}", f"a number of seconds from 0 to {_WAIT_S_MAX}"))
    at_ms = None if at is None else _moment(at, findings)
    if findings:
        raise Invalid("the time of the event", tuple(findings))
    return When(after_s, at_ms)  # pyright: ignore[reportArgumentType] - it was looked at


def named_timer_id(tenant: str, agent: str, key: str, name: str) -> str:
    """Return the id of an agent's timer of that name for a key; nobody outside can give it to an event."""
    parts = [part.encode() for part in (tenant, agent, key, name)]
    lengths = b"".join(len(part).to_bytes(4) for part in parts)
    digest = blake2b(lengths + b"".join(parts), digest_size=16 + EMITTED_TAIL_BYTES).hexdigest()
    return f"{digest[:32]}.{digest[32:]}"


def moment_text(moment_ms: int) -> str:
    """Return a moment as RFC 3339 has it, in UTC."""
    return (_EPOCH + timedelta(milliseconds=moment_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_ms(moment: datetime) -> int:
    """Return the milliseconds since 1970-01-01 UTC of a time that knows its zone."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _is_wait(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _WAIT_S_MAX


def _moment(at: object, findings: list[Finding]) -> int | None:
    try:
        moment = datetime.fromisoformat(at.upper()) if isinstance(at, str) else at
    except ValueError:
        moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        findings.append(Finding("at", f"is {at!r}", "a time with its zone, as 2026-01-31T12:00:00Z"))
        return None
    return moment_ms(moment)
