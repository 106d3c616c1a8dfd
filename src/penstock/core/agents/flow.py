"""How much of an agent's work may go on at once, how fast it begins, and what becomes of more: the options, and their rules."""

import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Any, Literal, cast, get_args

from penstock.core.events.event import Event
from penstock.errors import Finding

WhenBusy = Literal["queue", "reject", "interrupt", "replace"]
POLICIES: tuple[str, ...] = get_args(WhenBusy)
PRIORITY_MAX = 9
TENANT = "tenant"  # as `by`: the tenant of an event, which is no field of it
AT_ONCE_MAX = 1_000_000
COUNT_MAX = 1_000_000_000
DEBOUNCE_S_MAX = 86_400.0
DEBOUNCE_TIMES = 10  # how many windows an event is put off at most, where nothing else is said


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `at_once` handlings go on at the same time.

    `by`: for each value of that field (and tenant), or with "tenant" for each tenant, instead of all together.
    `scope`: "all" workers together have no more; or it is that of each "worker".
    """

    at_once: int
    by: str = ""
    scope: Literal["all", "worker"] = "all"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` attempts begin in each `per_s` in the long run, and at most `burst` at once (0: `count`). `by` as above."""

    count: int
    per_s: float = 1.0
    by: str = ""
    burst: int = 0

    @property
    def burst_size(self) -> int:
        return self.burst or self.count


@dataclass(frozen=True, slots=True)
class Flow:
    """The flow of events into one agent. Nothing of it breaks the order within a key (C2), or drops an event unseen (C6).

    `priority`: the field with a number from 0 to 9; an event of priority p is treated as if it had come p * `aging_s` earlier,
    so nothing waits forever. Tenants take turns first. `debounce_s`: of the events of one key that come within so many seconds
    of each other only the last is handled; none is put off longer than `debounce_max_s` (0: ten times `debounce_s`).
    `when_busy`: what becomes of an event whose key is busy. None: it waits (an agent), its run goes on beside (a workflow).
    """

    concurrency: "int | Concurrency | tuple[Concurrency, ...]" = ()
    rate: "Rate | tuple[Rate, ...]" = ()
    priority: str = ""
    aging_s: float = 60.0
    debounce_s: float = 0.0
    debounce_max_s: float = 0.0
    when_busy: WhenBusy | None = None

    @property
    def concurrencies(self) -> tuple[Concurrency, ...]:
        """The bounds of how many go on at once."""
        given = self.concurrency
        if isinstance(given, int):
            return (Concurrency(given),)
        return given if isinstance(given, tuple) else (given,)

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The bounds of how fast they begin."""
        return self.rate if isinstance(self.rate, tuple) else (self.rate,)

    @property
    def fields(self) -> frozenset[str]:
        """The fields of an event that must be known to let it in."""
        by = {each.by for each in (*self.concurrencies, *self.rates)} - {"", TENANT}
        return frozenset(by | ({self.priority} if self.priority else set()))

    @property
    def put_off_ms_max(self) -> int:
        """How long an event is put off at most by later ones of its key."""
        return round((self.debounce_max_s or DEBOUNCE_TIMES * self.debounce_s) * 1000)


def flow_findings(flow: object, accepts: Iterable[type[Event]], *, batch: bool) -> list[Finding]:
    """Return all that is wrong with an agent's flow. No type checker has seen many of them: they may be anything."""
    if flow is None:
        return []
    if not isinstance(flow, Flow):
        return [Finding("flow", f"is {flow!r}", "give a Flow: Flow(concurrency=10)")]
    findings: list[Finding] = []
    if batch:
        findings.append(
            Finding("flow", "is given to an agent that takes batches", "its one lane is its flow: leave it out")
        )
    findings += _concurrency_findings(flow.concurrency)
    findings += _rate_findings(flow.rate)
    findings += _waiting_findings(flow)
    return findings + _field_findings(flow, list(accepts), shaped=not findings)


def rank_of(time_ms: int, priority: object, aging_s: float) -> float:
    """Return by what events are put in order, least first: when they came, with what their priority is worth taken off."""
    known = priority if isinstance(priority, int) else 0
    return time_ms - min(max(known, 0), PRIORITY_MAX) * aging_s * 1000


def _concurrency_findings(given: object) -> list[Finding]:
    if _is_whole(given):
        given = Concurrency(given)
    found: list[Finding] = []
    for path, each in _listed("flow.concurrency", given):
        if not isinstance(each, Concurrency):
            found.append(Finding(path, f"is {each!r}", "give a number, a Concurrency, or a tuple of them"))
            continue
        if not (_is_whole(each.at_once) and 1 <= each.at_once <= AT_ONCE_MAX):
            found.append(Finding(path, f"is {each.at_once!r} at once", f"a whole number from 1 to {AT_ONCE_MAX}"))
        if each.scope not in ("all", "worker"):
            found.append(Finding(f"{path}.scope", f"is {each.scope!r}", 'one of "all", "worker"'))
    return found


def _rate_findings(given: object) -> list[Finding]:
    found: list[Finding] = []
    for path, each in _listed("flow.rate", given):
        if not isinstance(each, Rate):
            found.append(Finding(path, f"is {each!r}", "give a Rate, Rate(100, per_s=60), or a tuple of them"))
            continue
        if not (_is_whole(each.count) and 1 <= each.count <= COUNT_MAX):
            found.append(Finding(f"{path}.count", f"is {each.count!r}", f"a whole number from 1 to {COUNT_MAX}"))
        if not (_is_whole(each.burst) and 0 <= each.burst <= COUNT_MAX):
            found.append(Finding(f"{path}.burst", f"is {each.burst!r}", "a whole number; 0 means: as many as `count`"))
        if not _is_between(each.per_s, 0.001, inf):
            found.append(Finding(f"{path}.per_s", f"is {each.per_s!r}", "a number of seconds, 0.001 or more"))
    return found


def _waiting_findings(flow: Flow) -> list[Finding]:
    rules = (
        ("aging_s", _is_between(flow.aging_s, 0, inf), "a number of seconds, 0 or more"),
        ("debounce_s", _is_between(flow.debounce_s, 0, DEBOUNCE_S_MAX), f"a number from 0 to {DEBOUNCE_S_MAX:g}"),
        ("debounce_max_s", _is_between(flow.debounce_max_s, 0, inf), "a number of seconds, 0 or more"),
        ("when_busy", flow.when_busy is None or flow.when_busy in POLICIES, f"one of {', '.join(POLICIES)}"),
    )
    found = [Finding(f"flow.{name}", f"is {getattr(flow, name)!r}", hint) for name, holds, hint in rules if not holds]
    if not found and 0 < flow.debounce_max_s < flow.debounce_s:
        found.append(Finding("flow.debounce_max_s", f"is {flow.debounce_max_s:g}", "at least debounce_s"))
    return found


def _field_findings(flow: Flow, accepts: list[type[Event]], *, shaped: bool) -> list[Finding]:
    """Return which fields are named that the events do not have."""
    if not shaped:
        return []
    named = [("flow.priority", flow.priority)] if flow.priority != "" else []
    named += [("flow.concurrency.by", each.by) for each in flow.concurrencies if each.by not in ("", TENANT)]
    named += [("flow.rate.by", each.by) for each in flow.rates if each.by not in ("", TENANT)]
    found: list[Finding] = []
    for event in accepts:
        for path, name in named:
            if name not in event.model_fields:
                hint = f"one of {', '.join(event.model_fields)}" + ("" if path == "flow.priority" else f", or {TENANT}")
                found.append(Finding(path, f"{name!r} is not a field of {event.__name__}", hint))
            elif path == "flow.priority" and not _holds_whole(event.model_fields[name].annotation):
                problem = f"{name!r} of {event.__name__} is no whole number"
                found.append(Finding(path, problem, f"annotate it as int: 0 to {PRIORITY_MAX}, the highest first"))
    return found


def _listed(path: str, given: object) -> list[tuple[str, object]]:
    if isinstance(given, tuple):
        several = cast("tuple[object, ...]", given)
        return [(f"{path}[{number}]", each) for number, each in enumerate(several)]
    return [(path, given)]


def _holds_whole(annotation: Any) -> bool:
    """Whether a field of this type holds whole numbers, or nothing."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return all(each is type(None) or _holds_whole(each) for each in typing.get_args(annotation))
    if origin is Literal:
        return all(_is_whole(each) for each in typing.get_args(annotation))
    return annotation is int or (isinstance(annotation, type) and issubclass(annotation, IntEnum))


def _is_whole(value: object) -> typing.TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_between(value: object, least: float, most: float) -> bool:
    """Whether it is a number, finite, and within the bounds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most and value < inf
