"""How an evaluation ends that has no value: the error name and the cause that the run then carries.

These exceptions stay inside `core.asl`: whoever advances a run turns an `EvaluationFailed` into the state's failure.
"""

RUNTIME = (
    "States.Runtime"  # what AWS answers for every path and intrinsic function that fails, so that no Catch sees it
)
QUERY_EVALUATION = "States.QueryEvaluationError"
RESULT_PATH_MATCH = "States.ResultPathMatchFailure"


class EvaluationFailed(Exception):
    """A state's data could not be computed. `cause` is AWS's text without its opening sentence: see `state_cause`.

    `field` is where in the state the expression stands, such as `Arguments/Payload[0]`: an EvaluationFailed event's `location`.
    """

    def __init__(self, error: str, cause: str, field: str = "") -> None:
        super().__init__(error, cause, field)
        self.error = error
        self.cause = cause
        self.field = field

    def __str__(self) -> str:
        return f"{self.error}: {self.cause}"


class PathNotFound(Exception):
    """A path names something that the document does not have. The text is Jayway's."""


class PathInvalid(Exception):
    """A text is not a path, an intrinsic function or an expression at all: what a validator reports, with the reason."""


def state_cause(state: str, entered_event_id: int, cause: str) -> str:
    """Return the whole cause of a failed state as AWS writes it."""
    return (
        f"An error occurred while executing the state '{state}' (entered at the event id #{entered_event_id}). {cause}"
    )
