"""What is written together: everything that handlings did since the last commit, in order (C3).

A unit of work is whole in one `Writes` or not in it at all; several units share one, which is the group commit.
"""

from typing import Literal

from msgspec import Struct, field

from penstock.core.agents.pieces import StreamChunk
from penstock.core.agents.progress import Ranges
from penstock.core.events.blobs import Blob, BlobUse
from penstock.core.events.envelope import Envelope, Recorded
from penstock.core.knowledge.passages import IndexWrite
from penstock.core.timing.timers import TimerWrite

# "asking": a person is to decide about the outcome of a step. "halted": the code of a workflow does not fit what the run has
# recorded; it goes on once it does.
Status = Literal["queued", "running", "retrying", "asking", "succeeded", "failed", "cancelled", "halted"]


class RunChange(Struct):
    """What is now known of a run. The last change of a run wins."""

    run_id: str
    agent: str
    tenant: str
    key: str
    status: Status
    attempt: int
    at_ms: int
    due_ms: int = 0  # when the next attempt is due, while retrying
    reason: str = ""  # why it failed
    result: bytes = b""  # JSON of what the handler returned
    duration_ms: float = 0.0
    records: bytes = b""  # the last chunk of the journal, when it is written with the end of the run


class JournalChunk(Struct):
    """Records of one run, in their order. `number` counts the chunks of the run from 0."""

    run_id: str
    number: int
    body: bytes


class JournalCut(Struct, frozen=True):
    """The chunks of a run's journal with a number below `before` are let go: the run goes on without them."""

    run_id: str
    before: int


class SessionDelta(Struct):
    """Messages added to a session. `number` counts the messages of the session before them."""

    tenant: str
    session: str
    number: int
    count: int
    body: bytes
    expires_ms: int
    subject: str = ""  # whom the messages are about; in a store a pseudonym


class ValueWrite(Struct):
    """A named value of one agent for one key; None removes it."""

    tenant: str
    agent: str
    key: str
    name: str
    body: bytes | None
    at_ms: int = 0  # when it was written; 0: not known, and then it has no age
    subject: str = ""  # whom it is about; in a store a pseudonym, or "*" where it was written for several


class ProgressWrite(Struct):
    """What an agent is done with in a partition, as a whole."""

    agent: str
    topic: str
    partition: int
    low: int
    above: Ranges


class DeadLetter(Struct):
    """An event that an agent could not handle, and why (C6)."""

    run_id: str
    agent: str
    event: Recorded
    reason: str
    attempts: int
    at_ms: int  # the moment of the run's end, as its change has it: a redrive is for that end, and no later one


def letter_of(change: RunChange, event: Recorded) -> DeadLetter:
    """Return the dead letter of a run that failed, from what is written of its end."""
    return DeadLetter(change.run_id, change.agent, event, change.reason, change.attempt, change.at_ms)


class Sent(Struct, frozen=True):
    """An event for a partition that somebody else owns: he gives it its place in the log."""

    topic: str
    partition: int
    event: Envelope


class Writes(Struct):
    """One commit."""

    events: list[Recorded] = field(default_factory=list[Recorded])
    runs: list[RunChange] = field(default_factory=list[RunChange])
    journal: list[JournalChunk] = field(default_factory=list[JournalChunk])
    sessions: list[SessionDelta] = field(default_factory=list[SessionDelta])
    values: list[ValueWrite] = field(default_factory=list[ValueWrite])
    progress: list[ProgressWrite] = field(default_factory=list[ProgressWrite])
    dead: list[DeadLetter] = field(default_factory=list[DeadLetter])
    index: list[IndexWrite] = field(default_factory=list[IndexWrite])
    timers: list[TimerWrite] = field(default_factory=list[TimerWrite])
    streams: list[StreamChunk] = field(default_factory=list[StreamChunk])
    sent: list[Sent] = field(default_factory=list[Sent])
    received: list[int] = field(default_factory=list[int])  # numbers in the inbox whose events are among `events`
    settled: list[str] = field(default_factory=list[str])  # runs whose dead letter is dealt with; done before `dead`
    blobs: list[Blob] = field(default_factory=list[Blob])
    blob_uses: list[BlobUse] = field(default_factory=list[BlobUse])
    cuts: list[JournalCut] = field(default_factory=list[JournalCut])  # done before `journal`
    taken: list[str] = field(
        default_factory=list[str]
    )  # ids in the inbox, beside `received`, of events that wait no longer

    @property
    def is_news(self) -> bool:
        """Whether those who watch the store have something to look at."""
        return bool(self.events or self.sent or self.runs or self.streams or self.values)
