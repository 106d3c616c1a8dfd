"""The error names that Retry and Catch list."""

from collections.abc import Iterable
from typing import Final

from penstock.core.asl.definition import QueryLanguage
from penstock.core.asl.findings import Finding, finding
from penstock.core.asl.values import Json

ALL: Final = "States.ALL"
PREFIX: Final = "States."
KNOWN: Final = frozenset(
    {
        ALL,
        "States.BranchFailed",
        "States.DataLimitExceeded",
        "States.ExceedToleratedFailureThreshold",
        "States.HeartbeatTimeout",
        "States.IntrinsicFailure",
        "States.ItemReaderFailed",
        "States.NoChoiceMatched",
        "States.ParameterPathFailure",
        "States.Permissions",
        "States.QueryEvaluationError",
        "States.ResultPathMatchFailure",
        "States.ResultWriterFailed",
        "States.Runtime",
        "States.TaskFailed",
        "States.Timeout",
    }
)
"""The names that the interpreter itself gives; those of http:invoke begin with `States.Http.`"""
_HTTP: Final = "States.Http."


def retriers(value: dict[str, Json], path: str, _language: QueryLanguage) -> Iterable[Finding]:
    """Check the error names of all retriers of a state."""
    return _members(value.get("Retry"), f"{path}/Retry", "retrier")


def catchers(value: dict[str, Json], path: str, _language: QueryLanguage) -> Iterable[Finding]:
    """Check the error names of all catchers of a state."""
    return _members(value.get("Catch"), f"{path}/Catch", "catcher")


def _members(members: Json, path: str, what: str) -> Iterable[Finding]:
    if not isinstance(members, list):
        return
    seen: set[str] = set()
    for index, member in enumerate(members):
        names = member.get("ErrorEquals") if isinstance(member, dict) else None
        texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        where = f"{path}[{index}]/ErrorEquals"
        if ALL in texts and len(texts) > 1:
            yield finding("error-all", where, f"{ALL} must stand alone", f"give it a {what} of its own, as the last")
        elif ALL in texts and index + 1 < len(members):
            yield finding("error-all", where, f"{ALL} must be in the last {what}", "move it down: it hides the others")
        yield from _names(texts, where, seen)
        seen.update(texts)


def _names(names: list[str], path: str, seen: set[str]) -> Iterable[Finding]:
    for index, name in enumerate(names):
        if name in seen or name in names[:index]:
            yield finding("error-shadowed", f"{path}[{index}]", f"{name!r} is listed above already")
        elif name.startswith(PREFIX) and name not in KNOWN and not name.startswith(_HTTP):
            hint = "names that begin with States. are the interpreter's own"
            yield finding("error-unknown", f"{path}[{index}]", f"no error is named {name!r}", hint)
