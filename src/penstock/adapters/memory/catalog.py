"""What people ask of a disk in memory, the newest first."""

from penstock.adapters.memory.disk import Disk
from penstock.core.agents.unit import DeadLetter, RunChange
from penstock.ports.state import DeadFilter, RunFilter


def runs(disk: Disk, which: RunFilter) -> list[RunChange]:
    found = [
        run
        for run in reversed(disk.runs.values())
        if which.tenant in (None, run.tenant)
        and which.agent in (None, run.agent)
        and which.status in (None, run.status)
    ]
    return found[: which.limit]


def dead_letters(disk: Disk, which: DeadFilter) -> list[DeadLetter]:
    letters = [letter for letter in reversed(disk.dead.values()) if _is_wanted(letter, which)]
    return letters[: which.limit]


def _is_wanted(letter: DeadLetter, which: DeadFilter) -> bool:
    return (
        which.tenant in (None, letter.event.event.tenant)
        and which.agent in (None, letter.agent)
        and which.run_id in (None, letter.run_id)
        and (which.since_ms is None or letter.at_ms >= which.since_ms)
        and (which.reason is None or _lowered(which.reason) in _lowered(letter.reason))
    )


def _lowered(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").lower()  # of bytes: that of ASCII alone, as databases do it
