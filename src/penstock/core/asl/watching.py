"""What happens to the data of one state, stage by stage: kept while the state is evaluated, to be shown.

Which stages AWS shows of which type of state is as recorded: of a Pass with a Result, and of a Parallel, none before the result.
"""

from dataclasses import replace
from typing import Any, TypeAlias

from penstock.core.asl import definition as asl
from penstock.core.asl.flow import combined
from penstock.core.asl.language import DataFlow, JsonataFlow, Left, PathFlow
from penstock.core.asl.program import Step
from penstock.core.asl.scope import Scope
from penstock.core.asl.values import Json

Seen: TypeAlias = dict[str, Any]
"""Values by AWS's names for the stages: afterInputPath, afterParameters, result, ..."""

_OF_RESULTS = ("afterResultSelector", "afterResultPath")


def watched(step: Step, seen: Seen) -> Step:
    """Return a state that does the same, and puts what it sees on its way into `seen`."""
    flow = step.flow
    if isinstance(flow, PathFlow):
        found: DataFlow = _WatchedPaths(flow, _shown_of_paths(step.state), seen)
    else:
        assert isinstance(flow, JsonataFlow), flow
        shown = ("afterArguments", "result") if isinstance(step.state, asl.Task) else ()
        found = _WatchedJsonata(flow, shown, seen)
    return replace(step, flow=found)


def _shown_of_paths(state: asl.AnyState) -> tuple[str, ...]:
    match state:
        case asl.Pass() if state.result is not asl.UNSET:
            return ("result", *_OF_RESULTS)
        case asl.Pass():
            return ("afterInputPath", "afterParameters", *_OF_RESULTS)
        case asl.Task():
            return ("afterInputPath", "afterParameters", "result", *_OF_RESULTS)
        case asl.Map():
            return ("afterInputPath", *_OF_RESULTS)
        case asl.Parallel():
            return _OF_RESULTS
        case _:
            return ("afterInputPath",)


class _Watched:
    def __init__(self, shown: tuple[str, ...], seen: Seen) -> None:
        self._shown = shown
        self._seen = seen

    def keep(self, stage: str, value: Json) -> Json:
        if stage in self._shown:
            self._seen[stage] = value
        return value


class _WatchedPaths(_Watched):
    def __init__(self, flow: PathFlow, shown: tuple[str, ...], seen: Seen) -> None:
        super().__init__(shown, seen)
        self._flow = flow

    def effective(self, scope: Scope) -> Json:
        return self.keep("afterInputPath", self._flow.effective(scope))

    def payload(self, scope: Scope, effective: Json) -> Json:
        return self.keep("afterParameters", self._flow.payload(scope, effective))

    def left(self, scope: Scope, effective: Json, result: Json) -> Left:  # noqa: ARG002 - only the other language needs it
        self.keep("result", result)
        selected = self.keep("afterResultSelector", self._flow.selected(scope, result))
        output = self.keep("afterResultPath", combined(self._flow.result_path, scope.input, selected))
        return self._flow.put_out(scope, selected, output)


class _WatchedJsonata(_Watched):
    def __init__(self, flow: JsonataFlow, shown: tuple[str, ...], seen: Seen) -> None:
        super().__init__(shown, seen)
        self._flow = flow

    def effective(self, scope: Scope) -> Json:
        return self._flow.effective(scope)

    def payload(self, scope: Scope, effective: Json) -> Json:
        return self.keep("afterArguments", self._flow.payload(scope, effective))

    def left(self, scope: Scope, effective: Json, result: Json) -> Left:
        self.keep("result", result)
        return self._flow.left(scope, effective, result)
