"""Whether runs of a state machine go on under the code of now: they keep their definition, so only the reducer could differ."""

from collections.abc import Sequence
from typing import Any, Literal

from penstock.core.agents.journal import StepRecord
from penstock.core.agents.machine_records import begins_in, replayed, started
from penstock.core.agents.unit import RunChange
from penstock.core.events.envelope import Envelope
from penstock.runtime.machines import StateMachine
from penstock.runtime.outcomes import body_of


def led_again(
    machine: StateMachine, change: RunChange, cause: Envelope, records: Sequence[StepRecord]
) -> tuple[Literal["fits", "differs"], dict[str, Any]]:
    """Make a run again from its journal, where its definition is the one of now, and compare what it came to."""
    begins = begins_in(records)
    if begins is None:
        return "fits", {}
    if begins.definition != machine.digest:
        return "fits", {"reason": "it goes on with the definition that it began with"}
    run, _ = replayed(machine.program, started(cause, machine.name, begins, change.run_id), records)
    if change.status == "succeeded" and (result := body_of(run.result)) != change.result:
        return "differs", {"reason": "the reducer makes something else of what has happened", "result": result}
    return "fits", {}
