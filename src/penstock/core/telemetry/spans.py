"""What a span is asked to be, and the ids in traces: W3C Trace Context, `traceparent` of version 00 and `tracestate`.

Ids follow from what they stand for, so that another process can link to a span that it never saw: that of a run's first attempt
follows from the run's id, the trace that an event begins from the event's id.
"""

import re
from hashlib import blake2b
from typing import Literal, TypeAlias

from msgspec import Struct

Value: TypeAlias = str | bool | int | float
Kind = Literal["internal", "server", "client", "producer", "consumer"]
TEXT_CHARS_MAX = 256  # of an attribute
LINKS_MAX = 128
SAMPLED = "01"
STATE_CHARS_MAX = 512
_MEMBERS_MAX = 32
_MEMBER_CHARS_SURE = 128  # longer ones are dropped first where there is too much
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class SpanAsked(Struct, frozen=True):
    """A span to be.

    `parent`: the `traceparent` that it lies below; None for whatever goes on where it begins; empty for a trace of its own, whose
    id follows from `origin`, if that is given. `identity`: what the span's id follows from; without it, chance. `inner`: where
    nothing goes on that it could lie below, it is left out. `state`: the `tracestate` that came with the parent.
    """

    name: str
    kind: Kind = "internal"
    parent: str | None = None
    origin: str = ""
    identity: str = ""
    links: tuple[str, ...] = ()
    attributes: dict[str, Value] = {}
    inner: bool = False
    state: str = ""


class SpanPlace(Struct, frozen=True):
    """What a `traceparent` says."""

    trace: int
    span: int
    flags: int


def place_of(traceparent: str) -> SpanPlace | None:
    """Return what a `traceparent` says; None for what is none, which begins a trace anew (W3C Trace Context, 3.2.2)."""
    found = _FORM.fullmatch(traceparent)
    if found is None:
        return None
    place = SpanPlace(int(found[1], 16), int(found[2], 16), int(found[3], 16))
    return place if place.trace and place.span else None


def valid(traceparent: str) -> str:
    """Return a `traceparent` from outside, or nothing where it is none."""
    return traceparent if place_of(traceparent) else ""


def valid_state(tracestate: str) -> str:
    """Return a `tracestate` from outside as it may be passed on, or nothing where it is none (W3C Trace Context, 3.3)."""
    members = [each.strip(" \t") for each in tracestate.split(",", _MEMBERS_MAX)]
    members = [each for each in members if each]
    keys = {each.partition("=")[0] for each in members}
    if len(members) > _MEMBERS_MAX or len(keys) < len(members) or not all(map(_MEMBER.fullmatch, members)):
        return ""
    if sum(map(len, members)) + len(members) - 1 > STATE_CHARS_MAX:
        members = [each for each in members if len(each) <= _MEMBER_CHARS_SURE]
    while sum(map(len, members)) + len(members) - 1 > STATE_CHARS_MAX:
        members.pop()  # the last one is the oldest
    return ",".join(members)


def trace_id_of(origin: str) -> int:
    """Return the id of the trace that something begins which has no parent."""
    return int.from_bytes(blake2b(origin.encode(errors="replace"), digest_size=16).digest()) or 1


def span_id_of(identity: str) -> int:
    """Return the id of the span that stands for something."""
    return int.from_bytes(blake2b(identity.encode(errors="replace"), digest_size=8).digest()) or 1


def first_of(identity: str, parent: str, origin: str) -> str:
    """Return the `traceparent` of the span that stands for something, whether or not it was made here."""
    place = place_of(parent)
    trace, flags = (trace_id_of(origin), SAMPLED) if place is None else (place.trace, f"{place.flags:02x}")
    return f"00-{trace:032x}-{span_id_of(identity):016x}-{flags}"


def bounded(value: Value) -> Value:
    """Return an attribute as it may leave."""
    return value[:TEXT_CHARS_MAX] if isinstance(value, str) else value


def model_named(name: str) -> tuple[str, str]:
    """Return the provider and the model in a name such as "openai:gpt-4.1-mini"."""
    provider, colon, model = name.partition(":")
    return (provider, model) if colon else ("penstock", name)
