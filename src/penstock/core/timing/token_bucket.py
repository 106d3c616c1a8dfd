"""How much may be taken, and when: a token bucket that is filled steadily and never holds more than one burst.

- In any w ms at most `burst + rate * w / per_ms` is taken. All is counted in whole numbers: rounding neither gives nor takes.
- A clock that is set back gives nothing away, and stops the filling for at most the time of one filling: one that is further
  back than that is believed, and the bucket goes on from there with what it holds.
- A clock that is set forward gives what a wait would have given, one burst at most. So a bucket belongs to one clock: that of
  its owner, or of its store.
"""

from dataclasses import dataclass, replace

from penstock.errors import Finding, Invalid, LimitReached


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """Gains `rate` tokens in each `per_ms`, up to `burst`. Make one with `full_bucket`.

    `credit` is what it held at `counted_ms`, in parts of a token: `per_ms` of them are one, and each ms brings `rate` of them.
    """

    rate: int
    per_ms: int
    burst: int
    credit: int
    counted_ms: int

    @property
    def filling_ms(self) -> int:
        """The time in which an empty bucket becomes full."""
        return _ceiling(self.burst * self.per_ms, self.rate)


def full_bucket(*, rate: int, per_ms: int, burst: int, now_ms: int) -> TokenBucket:
    """Return a bucket that holds one burst. Raise `Invalid` for a bound that is not 1 or more."""
    bounds = (("rate", rate), ("per_ms", per_ms), ("burst", burst))
    findings = tuple(Finding(name, f"is {bound}", "1 or more") for name, bound in bounds if bound < 1)
    if findings:
        raise Invalid("the token bucket", findings)
    return TokenBucket(rate, per_ms, burst, burst * per_ms, now_ms)


def taken(state: TokenBucket, amount: int, now_ms: int) -> tuple[TokenBucket, int]:
    """Take `amount` tokens, all or none: return the bucket after it, and how long to wait (ms) before it can be asked again.

    0 means that they were taken; otherwise nothing was, and they will be there after the wait unless another takes first.
    Raise `LimitReached` for more than a burst, which will never be there.
    """
    assert amount >= 0, f"{amount} cannot be taken: give back nothing, take less"
    if amount > state.burst:
        limit = "the amount taken at once"
        raise LimitReached(limit, amount, state.burst)
    now = _counted(state, now_ms)
    lacking = amount * now.per_ms - now.credit
    if lacking <= 0:
        return replace(now, credit=-lacking), 0
    # While the clock is behind what is counted, nothing comes in.
    return now, now.counted_ms - now_ms + _ceiling(lacking, now.rate)


def _counted(state: TokenBucket, now_ms: int) -> TokenBucket:
    """Return the bucket with what came in until now."""
    elapsed_ms = now_ms - state.counted_ms
    if elapsed_ms >= 0:
        credit = min(state.burst * state.per_ms, state.credit + elapsed_ms * state.rate)
        return replace(state, credit=credit, counted_ms=now_ms)
    return state if -elapsed_ms <= state.filling_ms else replace(state, counted_ms=now_ms)


def _ceiling(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
