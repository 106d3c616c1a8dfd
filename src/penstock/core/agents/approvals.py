"""What people are asked to approve, and what they answer: values that are checked against what was asked for, whole.

An approval is a question like that about a step whose outcome nobody knows (`core/agents/attempts.py`): a mark in the journal
of its run until it is answered.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from penstock.core.agents.attempts import Asking
from penstock.core.agents.journal import encode_value, shaped
from penstock.core.events.event import findings_of
from penstock.errors import Finding, Invalid, Missing, PenstockError, Refused

T = TypeVar("T")
NAME = "approval"  # of the steps
TITLE_CHARS_MAX = 1000
PAYLOAD_BYTES_MAX = 256 * 1024
VALUE_BYTES_MAX = 256 * 1024
OPTIONS_MAX = 1000
OnTimeout = Literal["raise", "approve", "reject"]
_ID = re.compile(
    r"(?P<run>.+?)/(?P<step>(?:\d+~)?(?:(?:gather|map|first|shielded)#\d+(?:\[\d+\])?/)*approval#\d+)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Approval(Generic[T]):
    """What was answered. `value` is of the type, or one of the options, that were asked for; None where it was rejected."""

    approved: bool
    value: T
    by: str = ""
    reason: str = ""
    timed_out: bool = False  # nobody answered in time


class Answered(Struct, frozen=True):
    """How an approval ended, as its run records it. New fields go to the end, with a default."""

    approved: bool
    value: Any = None  # as plain data
    by: str = ""
    reason: str = ""
    at_ms: int = 0
    timed_out_s: float | None = None  # nobody answered within that time
    raised: bool = False  # and the run was told so by an error


class Wanted:
    """What a value must be: of a type, one of some options, or none at all."""

    def __init__(self, to: Any = None, options: Sequence[Any] | None = None) -> None:
        self._to = to
        self.options = None if options is None else list(options)
        self._adapter = None if to is None else _adapter(to)

    @property
    def schema(self) -> dict[str, Any] | None:
        """Return the type as JSON schema, where it has one, for who shows a form."""
        try:
            return None if self._adapter is None else self._adapter.json_schema()
        except PydanticInvalidForJsonSchema:
            return None

    def value(self, plain: Any) -> Any:
        """Return plain data as what was asked for; `Invalid` with all findings."""
        if self._to is None:
            return plain
        if self._adapter is None:
            return shaped(plain, self._to)
        try:
            return self._adapter.validate_json(msgspec.json.encode(plain))
        except ValidationError as error:
            findings = tuple(Finding(_value_path(each.path), each.problem) for each in findings_of(error))
            raise Invalid("the answer", findings) from error

    def check(self, answered: Answered) -> None:
        """Raise `Invalid`, with all findings, for an answer that was not asked for."""
        findings = findings_of_answer(answered, self.options)
        if findings:
            raise Invalid("the answer", tuple(findings))
        if not answered.approved:
            return
        if self.options is None and self._to is None and answered.value is not None:
            raise Invalid("the answer", (Finding("value", "is given, and none is asked for", "leave it out"),))
        self.value(answered.value)


def findings_of_answer(answered: Answered, options: Sequence[Any] | None) -> list[Finding]:
    """Return what is wrong with an answer, as far as it can be said without the code that asked."""
    findings: list[Finding] = []
    if len(encode_value(answered.value, NAME)) > VALUE_BYTES_MAX:
        findings.append(Finding("value", f"has more than {VALUE_BYTES_MAX} bytes", "send a reference to it"))
    if not answered.approved and answered.value is not None:
        findings.append(Finding("value", "is given, and a rejection has none", "say why with a reason"))
    if answered.approved and options is not None and not any(_same(answered.value, each) for each in options):
        shown = ", ".join(msgspec.json.encode(each).decode() for each in options)
        findings.append(Finding("value", f"is {answered.value!r:.100}", f"one of {shown}"))
    return findings


def asking(title: str, payload: Any, wanted: Wanted, timeout_s: float | None, on_timeout: str) -> Asking:
    """Return what is asked, without its end; `Invalid` with all findings."""
    findings: list[Finding] = []
    plain = msgspec.msgpack.decode(encode_value(payload, "the payload of an approval"))
    if not (isinstance(title, str) and title.strip() and len(title) <= TITLE_CHARS_MAX):  # pyright: ignore[reportUnnecessaryIsInstance] - users without a type checker
        findings.append(Finding("title", f"is {title!r:.100}", f"a text of at most {TITLE_CHARS_MAX} characters"))
    if len(encode_value(plain, NAME)) > PAYLOAD_BYTES_MAX:
        findings.append(Finding("payload", f"has more than {PAYLOAD_BYTES_MAX} bytes", "give a reference to it"))
    if wanted.options is not None and not 0 < len(wanted.options) <= OPTIONS_MAX:
        findings.append(Finding("options", f"are {len(wanted.options)}", f"1 to {OPTIONS_MAX}"))
    if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s > 0):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
        findings.append(Finding("timeout_s", f"is {timeout_s!r}", "a number of seconds, more than 0"))
    if on_timeout not in ("raise", "approve", "reject"):
        findings.append(Finding("on_timeout", f"is {on_timeout!r}", "raise, approve or reject"))
    elif on_timeout != "raise" and timeout_s is None:
        findings.append(Finding("on_timeout", "is given, and nothing ends the wait", "give timeout_s"))
    elif on_timeout == "approve" and (wanted.options is not None or wanted.schema is not None):
        findings.append(Finding("on_timeout", "is 'approve', and there would be no value", "raise or reject"))
    if findings:
        raise Invalid("the approval", tuple(findings))
    return Asking(title, plain, wanted.options, wanted.schema, timeout_s, on_timeout)


def approval_id(run_id: str, step: str) -> str:
    return f"{run_id}/{step}"


def parts_of(id: str) -> tuple[str, str]:
    """Return the run and the step of an approval's id; `Missing` when it is none."""
    found = _ID.fullmatch(id)
    if found is None:
        raise Missing(f"the approval {id!r}", "see `penstock approvals list`")
    return found["run"], found["step"]


def told_answer(answered: Answered) -> str:
    """Return what an approval was answered, for people."""
    if answered.timed_out_s is not None and answered.raised:
        return f"it timed out after {answered.timed_out_s:g} s"
    text = "approved" if answered.approved else "rejected"
    if answered.timed_out_s is not None:
        return f"{text}, as nobody answered within {answered.timed_out_s:g} s"
    value = "" if answered.value is None else f" with {msgspec.json.encode(answered.value).decode()[:200]}"
    by = f" by {answered.by}" if answered.by else ""
    return f"{text}{value}{by}" + (f": {answered.reason}" if answered.reason else "")


def refusal_of(error: PenstockError) -> dict[str, Any]:
    """Return an error as plain data that `raise_refusal` raises again, at another place."""
    match error:
        case Invalid():
            return {
                "invalid": error.what,
                "findings": [[each.path, each.problem, each.hint] for each in error.findings],
            }
        case Missing():
            return {"missing": error.what, "hint": error.hint}
        case Refused():
            return {"refused": error.reason, "hint": error.hint}
        case _:
            raise error


def raise_refusal(told: dict[str, Any] | None) -> None:
    """Raise the error that was told; None: there was none."""
    match told:
        case {"invalid": what, "findings": findings}:
            raise Invalid(what, tuple(Finding(*each) for each in findings))
        case {"missing": what, "hint": hint}:
            raise Missing(what, hint)
        case {"refused": reason, "hint": hint}:
            raise Refused(reason, hint)
        case _:
            return


def _adapter(to: Any) -> TypeAdapter[Any] | None:
    """Return pydantic's view of a type; None for those that it knows nothing of (a msgspec Struct)."""
    try:
        return TypeAdapter[Any](to)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None


def _value_path(path: str) -> str:
    return "value" if path == "(whole)" else f"value.{path}"


def _same(one: Any, other: Any) -> bool:
    """Whether two plain values are the same: True is not 1."""
    return type(one) is type(other) and one == other


Check = Callable[[Answered], None]
