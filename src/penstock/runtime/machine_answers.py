"""Whether a task of a state machine's run takes what the holder of its token says, in the words of AWS."""

from typing import Final

from penstock.core.agents.control import AnswerTask
from penstock.core.agents.journal import decode_value
from penstock.core.agents.machine_records import MACHINE, Begins, replayed, started, waits_for_token
from penstock.core.agents.run_journal import RunJournal
from penstock.errors import Missing, PenstockError, Refused
from penstock.runtime.machines import kept_program
from penstock.runtime.services import Services
from penstock.runtime.workflow_run import WorkflowRun

NO_RUN: Final = "ExecutionDoesNotExist"
NO_TASK: Final = "TaskDoesNotExist"
TASK_IS_OVER: Final = "TaskTimedOut"
BAD_TOKEN: Final = "InvalidToken"  # noqa: S105 - the name of an error


async def refusal_of(journal: RunJournal, run: WorkflowRun, said: AnswerTask, services: Services) -> str:
    """Return AWS's code when a task does not take an answer; nothing when it does, at the moment that this returns."""
    found = journal.find(MACHINE)
    begins = None if found is None else decode_value(found, Begins)
    if begins is None or begins.secret != said.secret:
        return NO_TASK
    program = None if run.takes is not None else await kept_program(begins.definition, services)
    if run.takes is not None:
        takes = run.takes(said.task)
    else:  # it does not go on at present, and says nothing by itself
        assert program is not None, "its definition is written with its first record"
        whole = started(run.cause, run.agent.name, begins, run.run_id)
        takes = waits_for_token(*replayed(program, whole, journal.records()), said.task)
    return "" if takes else TASK_IS_OVER


def error_of(code: str) -> PenstockError:
    """Return a code as our error."""
    match code:
        case "ExecutionDoesNotExist":
            return Missing(f"{code}: the run", "it has another name, or was removed: see `penstock asl list`")
        case "TaskDoesNotExist":
            return Missing(f"{code}: the task of this token", "it belongs to another app, or another store")
        case "InvalidToken":
            return Refused(f"{code}: this is not the token of a task", "give what the task got as $$.Task.Token")
        case _:
            return Refused(f"{code}: the task waits for no answer any more", "it has ended, or its time was up")


def require_counted(code: str) -> None:
    """Raise why what was said comes to nothing; no code: it counts."""
    if code:
        raise error_of(code)
