"""What people ask of runs that are over: to try them again, to let them go, to go another way from one of their steps.

All is refused before anything is sent, or sent together: an event for each run (see `redriving`), durable when it returns.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from penstock.core.agents.again import (
    WORDS_CHARS_MAX,
    DropLetter,
    ForkRun,
    RedriveRun,
    records_before,
    unwrapped,
)
from penstock.core.agents.unit import DeadLetter, RunChange
from penstock.core.events.envelope import Recorded, event_of
from penstock.core.events.envelope import run_id as run_id_of
from penstock.core.events.event import Event
from penstock.core.events.texts import storable
from penstock.errors import Finding, Invalid, LimitReached, Missing, Refused
from penstock.ports.state import DeadFilter, StoredRun
from penstock.runtime.topology import Topology

LETTERS_MAX = 1000  # that one call deals with
Which = str | DeadFilter


class Asked(NamedTuple):
    """Something that is asked for: it goes to the partition of the event that it is about, or to that of another `key`."""

    event: Event
    about: Recorded
    key: str = ""

    @property
    def ordered_by(self) -> str:
        """The key by which the partition is found."""
        return self.key or self.about.event.key or self.about.event.id


class Sender(Protocol):
    """How it comes to the log."""

    async def send_again(self, asked: Sequence[Asked]) -> list[str]:
        """Send, and return the ids once all of it is durable."""
        ...


class Letters(Protocol):
    """Where runs and dead letters are looked up."""

    async def run(self, run_id: str) -> StoredRun | None: ...
    async def event(self, event_id: str) -> Recorded | None: ...
    async def dead_letters(self, which: DeadFilter = ...) -> Sequence[DeadLetter]: ...


@dataclass(frozen=True, slots=True)
class Signature:
    """Who asks, and why: it is kept with the run, and in the log."""

    by: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        storable("by", self.by, WORDS_CHARS_MAX)
        storable("why", self.why, WORDS_CHARS_MAX)


UNSIGNED = Signature()


@dataclass(frozen=True, slots=True)
class Fork:
    """How a fork differs from its parent. `at`: the first step that is executed anew; empty: all are.

    `event` takes the place of the one that the parent handled; `model` (of the app) answers in the place of all; a `dry` one
    changes nothing outside: steps with effects come from the parent's record or are refused, and nothing is emitted.
    """

    at: str = ""
    event: Event | None = None
    model: str = ""
    dry: bool = False


class AskingAgain:
    """The door to runs that are over."""

    def __init__(self, sender: Sender, store: Letters, topology: Topology | None) -> None:
        """`topology`: of the app, where it is known; otherwise the app finds out what it cannot do."""
        self._sender = sender
        self._store = store
        self._topology = topology

    async def redrive(
        self,
        which: Iterable[Which],
        *,
        fresh: bool = False,
        event: Event | None = None,
        signed: Signature = UNSIGNED,
        tenant: str | None = None,
    ) -> list[str]:
        """Have runs of dead letters tried again, and return the ids of the runs that will be."""
        letters = await self._letters(which, tenant)
        self._require_redrivable(letters, fresh=fresh)
        if event is not None:
            return await self._redriven_with(letters, event, signed)
        await self._sender.send_again(
            [
                Asked(
                    RedriveRun(
                        run_id=each.run_id,
                        agent=each.agent,
                        died_ms=each.at_ms,
                        fresh=fresh,
                        by=signed.by,
                        why=signed.why,
                    ),
                    each.event,
                )
                for each in letters
            ]
        )
        return [each.run_id for each in letters]

    async def drop(
        self, which: Iterable[Which], *, signed: Signature = UNSIGNED, tenant: str | None = None
    ) -> list[str]:
        """Let dead letters go, and return the ids of their runs."""
        letters = await self._letters(which, tenant)
        self._require_agents(letters)
        await self._sender.send_again(
            [
                Asked(
                    DropLetter(run_id=each.run_id, agent=each.agent, died_ms=each.at_ms, by=signed.by, why=signed.why),
                    each.event,
                )
                for each in letters
            ]
        )
        return [each.run_id for each in letters]

    async def fork(self, run_id: str, fork: Fork, *, signed: Signature = UNSIGNED, tenant: str | None = None) -> str:
        """Begin a run that has what another one recorded before a step, and return its id."""
        parent, cause = await self._parent(run_id, tenant)
        agent = self._require_forkable(parent.change, fork)
        records_before(parent.records, fork.at)
        event, key = unwrapped(cause).event, ""
        if fork.event is not None:
            key = self._key_of(fork.event, agent)
        said = ForkRun(
            run_id=run_id,
            agent=agent,
            at=fork.at,
            type=event.type if fork.event is None else fork.event.type_,
            data=(event.data if fork.event is None else fork.event.encoded()).decode(),
            dry=fork.dry,
            model=fork.model,
            by=signed.by,
            why=signed.why,
        )
        (event_id,) = await self._sender.send_again([Asked(said, cause, key)])
        return run_id_of(event_id, agent)

    async def _redriven_with(self, letters: Sequence[DeadLetter], event: Event, signed: Signature) -> list[str]:
        """Begin a new run with an edited event, in the place of a dead letter."""
        if len(letters) != 1:
            raise Refused(f"one event was given for {len(letters)} dead letters", "redrive them one by one")
        (letter,) = letters
        key = self._key_of(event, letter.agent)
        if key != letter.event.event.key:  # it would be handled in another order, by another worker
            hint = "send it as a new event, and drop the letter"
            raise Refused(f"the event has the key {key!r}, and the dead letter {letter.event.event.key!r}", hint)
        data = event.encoded().decode()
        said = ForkRun(
            run_id=letter.run_id,
            agent=letter.agent,
            at="",
            type=event.type_,
            data=data,
            died_ms=letter.at_ms,
            by=signed.by,
            why=signed.why,
        )
        (event_id,) = await self._sender.send_again([Asked(said, letter.event)])
        return [run_id_of(event_id, letter.agent)]

    async def _letters(self, which: Iterable[Which], tenant: str | None) -> list[DeadLetter]:
        """Return the dead letters that are meant, oldest first; `Missing` where there is none, `LimitReached` beyond."""
        found: dict[str, DeadLetter] = {}
        missing: list[str] = []
        for each in which:
            chosen = DeadFilter(run_id=each, tenant=tenant, limit=1) if isinstance(each, str) else each
            letters = await self._store.dead_letters(chosen)
            if not letters and isinstance(each, str):
                missing.append(each)
            found |= {letter.run_id: letter for letter in letters}
            if len(found) + len(missing) > LETTERS_MAX:
                raise LimitReached("the number of dead letters at once", len(found), LETTERS_MAX)
        if missing:
            raise Missing(f"the dead letter of {', '.join(missing)}", "see `penstock dead list`")
        return sorted(found.values(), key=lambda letter: letter.at_ms)

    def _require_agents(self, letters: Sequence[DeadLetter]) -> None:
        if self._topology is None:
            return
        known = self._topology.agents
        gone = [each for each in letters if each.agent not in known]
        if gone:
            hint = f"declare it again; this app has {', '.join(known) or 'none'}"
            raise Invalid(
                "the dead letters",
                tuple(Finding(each.run_id, f"{each.agent!r} is no agent of this app", hint) for each in gone),
            )

    def _require_redrivable(self, letters: Sequence[DeadLetter], *, fresh: bool) -> None:
        """Refuse what no handling could come of, with all findings."""
        self._require_agents(letters)
        if self._topology is None:
            return
        findings: list[Finding] = []
        for each in letters:
            agent, event = self._topology.agents[each.agent], unwrapped(each.event).event
            if event.type not in {each for kind in agent.accepts for each in kind.reads_()}:
                findings.append(
                    Finding(
                        each.run_id, f"{agent.name!r} does not take {event.type} any more", "let it, or drop the letter"
                    )
                )
            if fresh and agent.options.workflow:
                hint = "begin a new run instead: penstock runs fork"
                findings.append(Finding(each.run_id, "is a workflow, whose events are sent already", hint))
        if findings:
            raise Invalid("the dead letters", tuple(findings))

    async def _parent(self, run_id: str, tenant: str | None) -> tuple[StoredRun, Recorded]:
        stored, cause = await self._store.run(run_id), await self._store.event(event_of(run_id)[0])
        if stored is None or cause is None or tenant not in (None, cause.event.tenant):
            raise Missing(f"the run {run_id!r}", "see `penstock runs list`")
        return stored, cause

    def _require_forkable(self, change: RunChange, fork: Fork) -> str:
        """Return the agent of a run; `Refused` when the run cannot be forked so."""
        agent = None if self._topology is None else self._topology.agents.get(change.agent)
        if self._topology is not None and (agent is None or agent.options.batch):
            hint = "fork a run of an agent that takes one event at a time, or of a workflow"
            raise Refused(f"run {change.run_id!r} is not one that this app can fork", hint)
        if agent is not None and agent.options.workflow and (fork.dry or fork.model):
            what = f"run {change.run_id!r} is one of a workflow, which calls agents for real, with their own models"
            raise Refused(what, "replay it instead: penstock replay")
        return change.agent

    def _key_of(self, event: Event, agent: str) -> str:
        """Return the key of an event that the agent is to take; `Missing` or `Refused` when it cannot."""
        if self._topology is None:
            raise Missing("the app", "give APP.PY: it knows the types of its events")
        self._topology.require_taker(agent, event)
        return self._topology.kind(type(event)).key_of(event)
