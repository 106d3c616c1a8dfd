"""Workflow runs in the flow of their workflow: a run holds its place from its beginning to its end, over restarts too.

What a flow says of how fast they begin, and which ones are superseded, is dealt with before: a run begins when it may.
"""

from penstock.core.agents.gate import Ticket
from penstock.core.events.envelope import Recorded
from penstock.runtime.lanes import Delivery, Hold
from penstock.runtime.lines import GatedLine, Line
from penstock.runtime.places import Places
from penstock.runtime.workflow_run import WorkflowRun


class RunFlow:
    """The places that runs hold."""

    def __init__(self) -> None:
        self.places: Places | None = None  # of the engine; set when it is put together
        self._held: dict[str, tuple[GatedLine, Ticket[Delivery]]] = {}

    def enter(self, delivery: Delivery, line: Line) -> None:
        """A run begins: the place that its event was given is the run's."""
        hold = delivery.hold
        if hold is None or not isinstance(line, GatedLine):
            return
        ticket = line.ticket_of(delivery)
        if ticket.state == "out":
            line.gate.admitted(ticket)
        hold.ticket = None
        self._held[delivery.run_id] = (line, ticket)

    def join(self, run: WorkflowRun, recorded: Recorded) -> None:
        """A run goes on that had begun before: it has a place, whatever the limits say by now."""
        line = None if self.places is None else self.places.lines.get(run.agent.name)
        if isinstance(line, GatedLine) and run.run_id not in self._held:
            delivery = Delivery(run.agent, [recorded], "", known=True)
            delivery.hold = Hold()
            self.enter(delivery, line)

    def leave(self, run_id: str) -> None:
        """A run has ended, halts, or goes on with another worker: its place is free."""
        held = self._held.pop(run_id, None)
        if held is not None and self.places is not None:
            line, ticket = held
            line.gate.close(ticket)
            self.places.turned(line)
