"""The journal of a workflow run, which also knows what the run asked for, and in which order.

- Each operation is asked for under an id: its name with a number, behind the branch that asks ("map#0[3]/price#1"). Within one
  branch operations follow each other, so each has a place, which is recorded with it.
- A run that is resumed asks again from its first line. If a branch asks for something new while a record of an earlier place
  waits to be asked for, the code is not the one that wrote the journal.
- What belongs to an operation is recorded under its id and a word: "call:book#0/sent". Such records have no turn of their own.
- Signals are an inbox: the n-th of a name is "signal:NAME#n", and the wait that takes it records which one it took.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from penstock.core.agents.attempts import CANCEL, CUT, OPEN, OpenStep
from penstock.core.agents.journal import FORGOTTEN, Journal, StepRecord, decode_value, encode_value, standing
from penstock.core.agents.listening import CHANNEL, LISTEN, Listening, open_listenings
from penstock.core.events.envelope import Envelope
from penstock.errors import Diverged

RECORDS_MAX = 250_000
BYTES_MAX = 256 * 1024 * 1024
WARNING_SHARE = 0.8
RECORDS_NOTED = RECORDS_MAX * WARNING_SHARE  # from here on it is worth a look how full a journal is
BYTES_NOTED = BYTES_MAX * WARNING_SHARE
CONTINUED = "continued"  # the record that says with what the run goes on, and in which round
VERSION = "version"  # the record of the version that a run began with, unless it is 1
DETAILS = ("/sent", CUT, OPEN)  # what is recorded of an operation before it has ended
_DETAIL = re.compile(r"^(.*#\d+)(/[a-z]+)$", re.DOTALL)
_SIGNAL = re.compile(r"^signal:(.*)#(\d+)$", re.DOTALL)
_STARTED = re.compile(r"(?:^|/)start:[^/]*#\d+$")
_WAIT = re.compile(r"(?:^|/)wait:(.*)#\d+$", re.DOTALL)


class Continued(Struct):
    """With what a run goes on. It is stored: new fields go to the end, with a default."""

    round: int  # counts from 1; the first journal is round 0
    type: str
    data: bytes
    told: dict[str, int] = {}  # stream -> the offset from which on it tells in this round


class RunJournal(Journal):
    """The records of one workflow run, or of one round of it."""

    __slots__ = (
        "_arrived",
        "_asked",
        "_inbox",
        "_owed",
        "_places",
        "_told",
        "_unasked",
        "asked",
        "is_new",
        "listening",
        "ordered",
        "redriven_ms",
        "round",
        "size_bytes",
    )

    def __init__(self, known: Sequence[StepRecord] = (), stored: int = 0, *, recalled: bool = False) -> None:
        self.redriven_ms, known = _redriven_ms(known), standing(known)
        super().__init__(known, stored, recalled=recalled)
        self.ordered = True  # whether what is asked for next comes in the order of its branch
        self.asked = 0  # operations in this life
        self._told: dict[str, int] = {}
        self.round = 0  # how often the run went on with a journal that begins anew
        self.is_new = not (known or recalled)  # this is the first life: nothing is there that was not asked for in it
        self.size_bytes = sum(len(record.value) for record in known)
        self._asked: dict[str, int] = {}  # branch -> how many operations it asked for
        self._places: dict[str, int] = {}  # of operations that were asked for and not recorded
        self._unasked: dict[
            str, dict[str, int]
        ] = {}  # branch -> recorded operations that were not asked for, and their places
        self._owed: dict[str, int] = {}  # branch -> how many of these have a place
        self._arrived: dict[str, int] = {}  # signal -> how many came
        self._inbox: dict[str, deque[str]] = {}  # signal -> the steps of those that were not taken
        self.listening: dict[str, Listening] = {}  # channel -> what the run listens to
        self._load(known)
        if (begins := self.find(CONTINUED)) is not None:
            continued = decode_value(begins, Continued)
            self.round, self._told = continued.round, continued.told

    def next_round(self, event: Envelope, told: dict[str, int], at_ms: int) -> "RunJournal":
        """Return the journal with which the run goes on: what it begins with now, and the signals that nobody took."""
        journal = RunJournal(stored=self.stored)
        journal.round, journal._told, journal.redriven_ms = self.round + 1, told, self.redriven_ms
        begins = Continued(journal.round, event.type, event.data, told)
        journal.record(CONTINUED, encode_value(begins, CONTINUED), at_ms)
        for name, step in self.left_over():
            if not name.startswith(CHANNEL):
                journal.record(journal.arrived(name), self._known[step].value, at_ms)
        return journal

    def told(self, stream: str) -> int:
        return self._told.get(stream, 0)

    def named(self, step: str) -> str:
        """Return what tells an operation from those of the same name in other rounds."""
        return f"{self.round}~{step}" if self.round else step

    def _load(self, known: list[StepRecord]) -> None:
        taken: set[str] = set()
        for record in known:
            step = record.step
            if step == CANCEL:
                for each in decode_value(record.value, dict[str, Any])["cut"]:
                    self._expect(each, -1)
            elif (signal := _SIGNAL.match(step)) is not None:
                self._arrived[signal[1]] = self._arrived.get(signal[1], 0) + 1
                self._inbox.setdefault(signal[1], deque()).append(step)
            elif (detail := _DETAIL.match(step)) is not None:
                if detail[2] in DETAILS:
                    self._expect(detail[1], record.place)
            elif "#" in step:
                self._expect(step, record.place)
                if (wait := _WAIT.search(step)) is not None and (took := took_of(record.value)) is not None:
                    taken.add(f"signal:{wait[1]}#{took}")
        for name, steps in self._inbox.items():
            self._inbox[name] = deque(each for each in steps if each not in taken)
        self.listening = {each.channel: each for each in open_listenings(known).values()}

    def _expect(self, step: str, place: int) -> None:
        """Note that the run asked for an operation in an earlier life."""
        branch = branch_of(step)
        unasked = self._unasked.setdefault(branch, {})
        if place >= 0 > unasked.get(step, -1):
            self._owed[branch] = self._owed.get(branch, 0) + 1
            self._places[step] = place
        unasked[step] = max(place, unasked.get(step, -1))

    def check(self, step: str) -> None:
        """Raise `Diverged` when the turn of another operation has come in this branch."""
        branch = branch_of(step)
        if self.ordered and self._owed.get(branch) and step not in self._unasked[branch]:
            # A fork begins anew what the other run had begun, and listens anew.
            if step.startswith(("start:", LISTEN), len(branch)):
                return
            unasked = self._unasked[branch]
            missed = min((each for each in unasked if unasked[each] >= 0), key=unasked.__getitem__)
            raise Diverged(f"the code asks for {step!r} where the journal has {missed!r}")

    def next_step(self, name: str) -> str:
        """Return the id of the operation `name` that is asked for now."""
        step = self.next_branching(name)
        if self._unasked:
            unasked = self._unasked.get(branch_of(name))
            if unasked and unasked.pop(step, -1) >= 0:
                self._owed[branch_of(name)] -= 1
        return step

    def next_branching(self, name: str) -> str:
        """Return the id of an operation that leaves no record of its own, since it only holds others."""
        step = super().next_step(name)
        self.asked += 1
        if self.ordered:
            branch = branch_of(name)
            place = self._asked.get(branch, 0)
            self._asked[branch] = place + 1
            self._places[step] = place
        return step

    def forgive(self, prefix: str) -> None:
        """Branches whose scope begins so were given up: what they did not ask for any more is no difference."""
        for branch in [each for each in self._unasked if each.startswith(prefix)]:
            del self._unasked[branch]
            self._owed.pop(branch, None)

    def unasked(self) -> list[str]:
        """Return the operations that an earlier life had recorded, and that nobody asked for so far."""
        return [step for steps in self._unasked.values() for step in steps]

    def record(self, step: str, value: bytes, at_ms: int, place: int = -1) -> None:
        """Note what an operation came to, or a part of it, with the operation's place."""
        if place < 0:
            place = self._places.pop(step, -1)
            if place < 0 and step.endswith(DETAILS):
                place = self._places.get(step.rpartition("/")[0], -1)
        super().record(step, value, at_ms, place)
        self.size_bytes += len(value)

    def settled(self, step: str) -> bool:
        """Whether the journal says how an operation ended: what it returned, or that it failed for good."""
        if self.find(step) is not None:
            return True
        opened = self.find(f"{step}{OPEN}")
        return opened is not None and decode_value(opened, OpenStep).failed

    def owes(self, step: str) -> bool:
        """Whether the branch of this operation has recorded others that come after it."""
        return bool(self._owed.get(branch_of(step)))

    @property
    def has_begun(self) -> bool:
        """Whether the run has asked for anything yet, in this life or an earlier one."""
        return bool(self._asked or self._unasked)

    @property
    def share(self) -> float:
        """How much of what a journal may hold it holds."""
        return max(len(self) / RECORDS_MAX, self.size_bytes / BYTES_MAX)

    # signals

    def arrived(self, name: str) -> str:
        """Return the step of a signal that comes now, and put it into the inbox; its record follows."""
        number = self._arrived.get(name, 0)
        self._arrived[name] = number + 1
        step = f"signal:{name}#{number}"
        self._inbox.setdefault(name, deque()).append(step)
        return step

    def taken(self, name: str) -> str | None:
        """Take the oldest signal of a name out of the inbox, and return its step."""
        waiting = self._inbox.get(name)
        return waiting.popleft() if waiting else None

    def hears(self, channel: str) -> bool:
        """Whether what comes through a channel is of use: the run listens, and not to one event only that has come."""
        each = self.listening.get(channel)
        return each is not None and not (each.once and channel in self._arrived)

    def left_over(self) -> list[tuple[str, str]]:
        """Return the name and step of each signal that nobody took."""
        inbox = self._inbox.items()
        return [(name, step) for name, steps in inbox if not name.startswith(CHANNEL) for step in steps]

    def open_calls(self) -> dict[str, str]:
        """Return the steps that answers are still to come for, and what becomes of who gives them when the run ends."""
        found: dict[str, str] = {}
        for step, record in self._known.items():
            if step.endswith("/sent"):
                call = step.removesuffix("/sent")
                if call not in self._known and f"{call}{CUT}" not in self._known:
                    found[call] = "cancel"
            elif _STARTED.search(step) and f"{step}/result" not in self._known:
                found[f"{step}/result"] = decode_value(record.value, str)
        return found


def _redriven_ms(records: Sequence[StepRecord]) -> int:
    """Return when a run was told last to forget something, and to go on; 0: it never died."""
    return max((each.at_ms for each in records if each.step == FORGOTTEN), default=0) if records else 0


def named_in(records: Iterable[StepRecord], step: str) -> str:
    """Return what tells an operation of a stored run from those of the same name in its other rounds."""
    rounds = [decode_value(each.value, Continued).round for each in records if each.step == CONTINUED]
    return f"{rounds[-1]}~{step}" if rounds else step


def branch_of(step: str) -> str:
    """Return the branch that asks for a step: what comes before its own name."""
    return step[: step.rfind("/") + 1]


def took_of(value: Any) -> int | None:
    """Return the number of the signal that a wait took; None when its time was up."""
    return decode_value(value, dict[str, Any]).get("took")
