"""Where a process may die: the places between which the engine writes, by name.

The engine says that it comes to one of them, and that is all; `penstock.testing` makes a process die there. Those of a store
(claims, resuming, the middle of a commit) and of a broker are said by the layers that testing puts around them.
"""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Final


class WritePoint(StrEnum):
    """In the order in which an event meets them."""

    BEFORE_CLAIM = "before claim"
    AFTER_CLAIM = "after claim"  # the process before is fenced; nothing is read yet
    WHILE_RESUMING = "while resuming"  # a run of an earlier process is known again, and not yet handled
    AFTER_APPEND = "after append"  # an event from outside has its place; no commit has taken it
    BEFORE_EFFECT = "before effect"  # all that led to the step is durable
    AFTER_EFFECT = "after effect"  # the step's call has returned; its record is not made
    AFTER_RECORD = "after record"  # the record is made; no commit has taken it
    AFTER_HANDLING = "after handling"  # the unit of work is collected; no commit has taken it
    BEFORE_COMMIT = "before commit"
    DURING_COMMIT = "during commit"  # the backend writes; nobody can tell whether it will have been written
    AFTER_COMMIT = "after commit"  # durable; nobody is told yet
    AFTER_RELEASE = "after release"  # whoever waited for the commit is told
    BEFORE_PUBLISH = "before publish"  # what was sent is durable; the broker has nothing of it
    AFTER_PUBLISH = "after publish"  # the broker has it, and nobody knows
    AFTER_RECEIVE = "after receive"  # messages came from the broker; no commit has taken them


OF_BROKERS: Final = (WritePoint.BEFORE_PUBLISH, WritePoint.AFTER_PUBLISH, WritePoint.AFTER_RECEIVE)
OF_ENGINES: Final = tuple(each for each in WritePoint if each not in OF_BROKERS)  # those that every app comes to
OF_STARTS: Final = (WritePoint.BEFORE_CLAIM, WritePoint.AFTER_CLAIM, WritePoint.WHILE_RESUMING)
AT_WORK: Final = tuple(each for each in OF_ENGINES if each not in OF_STARTS)  # those of an event that is handled

Reached = Callable[[WritePoint], None]
# Called with a step's name, its function, arguments and options: it answers in the function's place.
StandIn = Callable[[str, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Awaitable[Any]]


def unwatched(point: WritePoint) -> None:
    """Stand in for nobody who watches."""
