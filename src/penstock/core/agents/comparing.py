"""What a replayed run came to, beside what it had come to."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Outcome = Literal["same", "differs", "failed", "needs effect", "skipped"]


class Course(Struct, frozen=True):
    """How a run went: what it returned or why it failed, what it emitted, the steps that it asked for."""

    result: bytes = b""
    failure: str = ""
    emitted: tuple[tuple[str, str, bytes], ...] = ()  # type, key, data
    steps: tuple[str, ...] = ()


class Verdict(Struct, frozen=True):
    """What became of one run in a replay.

    `same`: it went as it had gone. `differs`: `where` says in what (result, emitted, steps, failure). `failed`: it fails now, and
    had not. `needs effect`: it asked for a step with effects that was never recorded, which was not executed. `skipped`: it
    cannot be replayed; `note` says why.
    """

    run_id: str
    outcome: Outcome
    where: tuple[str, ...] = ()
    note: str = ""
    before: Course = Course()
    now: Course = Course()


def compared(run_id: str, before: Course, now: Course, *, lacks: str = "", note: str = "") -> Verdict:
    """Compare two courses of a run; `lacks`: the step with effects that has no record."""
    if lacks:
        return Verdict(run_id, "needs effect", (lacks,), note, before, now)
    if now.failure and not before.failure:
        return Verdict(run_id, "failed", ("failure",), note or now.failure, before, now)
    where = [
        name
        for name, was, is_now in (
            ("failure", _said(before.failure), _said(now.failure)),
            ("result", before.result, now.result),
            ("emitted", before.emitted, now.emitted),
            ("steps", sorted(before.steps), sorted(now.steps)),
        )
        if was != is_now
    ]
    return Verdict(run_id, "differs" if where else "same", tuple(where), note, before, now)


def tally(verdicts: Sequence[Verdict]) -> dict[Outcome, int]:
    """Count the verdicts by their outcome."""
    counts: dict[Outcome, int] = {}
    for each in verdicts:
        counts[each.outcome] = counts.get(each.outcome, 0) + 1
    return counts


def _said(failure: str) -> str:
    """Return a failure without its place in the code, which moves with every edit."""
    return failure.rpartition(" [")[0] or failure
