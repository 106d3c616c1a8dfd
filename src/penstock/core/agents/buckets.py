"""The token buckets of an agent's rates, and how they are stored, so that a restart does not fill them."""

import msgspec

from penstock.core.agents.flow import Rate
from penstock.core.timing.token_bucket import TokenBucket, full_bucket, taken
from penstock.errors import Finding, Invalid


def new_bucket(rate: Rate, parts: int, now_ms: int) -> TokenBucket:
    """Return the full bucket of one of the `parts` among which a rate is divided."""
    per_ms = max(1, round(rate.per_s * 1000)) * parts
    return full_bucket(rate=rate.count, per_ms=per_ms, burst=max(1, rate.burst_size // parts), now_ms=now_ms)


def is_full(bucket: TokenBucket, now_ms: int) -> bool:
    """Whether nothing would be lost by forgetting the bucket: a new one is full too."""
    return taken(bucket, bucket.burst, now_ms)[1] == 0


def encode_bucket(bucket: TokenBucket) -> bytes:
    return msgspec.msgpack.encode((bucket.rate, bucket.per_ms, bucket.burst, bucket.credit, bucket.counted_ms))


def restored_bucket(body: bytes, declared: TokenBucket) -> TokenBucket:
    """Return what was stored, under the rate that is declared now: the tokens that are left stay, up to the new burst."""
    try:
        _, per_ms, _, credit, counted_ms = msgspec.msgpack.decode(body, type=tuple[int, int, int, int, int])
        left = credit * declared.per_ms // per_ms
    except (msgspec.DecodeError, ZeroDivisionError) as error:
        hint = "restore a backup, or remove the value"
        raise Invalid("a stored token bucket", (Finding("(whole)", str(error), hint),)) from error
    bounded = max(0, min(left, declared.burst * declared.per_ms))
    return TokenBucket(declared.rate, declared.per_ms, declared.burst, bounded, counted_ms)
