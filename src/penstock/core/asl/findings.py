"""What the validator says about a definition: where, under which rule, how bad it is, and how to mend it.

Codes and texts are those of AWS where they were recorded or are documented.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from penstock import errors

REFUSED: Final = "InvalidDefinition"
"""The error with which AWS refuses to create a state machine."""


class Severity(StrEnum):
    """An error keeps a machine from running; a warning is most likely not what its author meant."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is looked for: AWS's code for it, and what it says."""

    code: str
    says: str
    severity: Severity = Severity.ERROR


_SCHEMA, _TARGET = "SCHEMA_VALIDATION_FAILED", "MISSING_TRANSITION_TARGET"


def _warning(says: str, code: str = "") -> Rule:
    return Rule(code, says, Severity.WARNING)


RULES: Final[Mapping[str, Rule]] = {
    "document-syntax": Rule("INVALID_JSON_DESCRIPTION", "The document is JSON or YAML, and an object."),
    "document-empty": Rule("MISSING_DESCRIPTION", "There is a document."),
    "document-size": Rule(_SCHEMA, "A document has at most 1 MiB."),
    "too-deep": Rule("TOO_DEEPLY_NESTED", "States are nested 50 levels deep at most."),
    "key-twice": _warning("No object has a key twice: only the last one would count."),
    "field-missing": Rule(_SCHEMA, "What a state, a rule or a config needs is there."),
    "field-unknown": Rule(_SCHEMA, "Only fields that the type of state knows are there."),
    "field-language": Rule(_SCHEMA, "JSONPath fields stand in JSONPath states, JSONata fields in JSONata states."),
    "field-conflict": Rule(_SCHEMA, "Fields that exclude each other do not stand side by side."),
    "field-mode": Rule(_SCHEMA, "Fields of distributed Maps stand in distributed Maps."),
    "value-type": Rule(_SCHEMA, "A value has the type that its field takes."),
    "value-range": Rule(_SCHEMA, "A number or a list is within its bounds."),
    "value-unknown": Rule(_SCHEMA, "A value is one of those that its field knows."),
    "path-syntax": Rule(_SCHEMA, "A path is a JSONPath in the dialect of Step Functions."),
    "path-filter": _warning("A filter in a path can be read: the state fails otherwise, when it runs."),
    "reference-path": Rule(_SCHEMA, "A reference path names one place, and ResultPath one in the input."),
    "expression-syntax": Rule(
        _SCHEMA, "What stands behind a key that ends with .$ is a JSONPath or an intrinsic function."
    ),
    "jsonata-syntax": Rule("INVALID_JSONATA_EXPRESSION", "What stands within {% %} is a JSONata expression."),
    "jsonata-unsupported": Rule(
        "UNSUPPORTED_JSONATA_EXPRESSION", "An expression begins with $states or a variable: there is no other context."
    ),
    "jsonata-needed": Rule(
        _SCHEMA, "A Condition, and a text where another type is wanted, is an expression within {% %}."
    ),
    "choice-rule": Rule(_SCHEMA, "A choice rule is one comparison, or And, Or, Not of such."),
    "template-key-twice": Rule(_SCHEMA, "No key is in a template with and without .$ at its end."),
    "variable-name": Rule(_SCHEMA, "A variable is not called `states`, and its name has at most 80 characters."),
    "language-mixed": Rule(_SCHEMA, "A machine in JSONata has no state in JSONPath."),
    "next-or-end": Rule(_SCHEMA, "A state has either Next or End."),
    "start-missing": Rule(_TARGET, "StartAt names a state."),
    "target-missing": Rule(_TARGET, "Next and Default name states beside their own."),
    "state-unreachable": Rule(_TARGET, "Each state can be reached."),
    "end-missing": Rule("MISSING_END_STATE", "Each list of States has one that ends it."),
    "state-name": Rule(
        "INVALID_STATE_NAME", "A state's name has 1 to 80 characters, none of them a control character."
    ),
    "state-twice": Rule("DUPLICATE_STATE_NAME", "A state's name is used once in the whole machine."),
    "label": Rule(
        "INVALID_LABEL_NAME", "A label has 1 to 40 characters, without blanks, wildcards, brackets and the like."
    ),
    "label-twice": Rule("DUPLICATE_LABEL_NAME", "A label is used once in the whole machine."),
    "resource": Rule("INVALID_RESOURCE", "A Resource is an ARN, `agent:NAME`, `workflow:NAME` or another URI."),
    "error-all": Rule(_SCHEMA, "States.ALL stands alone, and in the last retrier or catcher."),
    "error-unknown": Rule(_SCHEMA, "An error name that begins with States. is one that can occur."),
    "heartbeat": Rule(_SCHEMA, "HeartbeatSeconds is less than TimeoutSeconds."),
    "express": Rule(_SCHEMA, "An express machine has no activities, callbacks, .sync or distributed Maps."),
    "pass-result-static": _warning(
        "Result is handed on as it is: nothing in it is evaluated.", "PASS_RESULT_IS_STATIC"
    ),
    "no-dollar": _warning("A value that looks like an expression has a key that ends with .$", "NO_DOLLAR"),
    "no-path": _warning("A value that looks like a path stands in a field that ends with Path.", "NO_PATH"),
    "jsonata-in-jsonpath": _warning("A text within {% %} stands in a JSONata state."),
    "jsonpath-in-jsonata": _warning("Keys that end with .$ stand in a JSONPath state."),
    "jsonata-blanks": _warning("A JSONata text begins with {% and ends with %}, without blanks around."),
    "variable-unused": _warning("A variable that is assigned is read somewhere."),
    "variable-unassigned": _warning("A variable that is read is assigned somewhere."),
    "variable-form": _warning("A variable's name is an identifier, so that an expression can name it."),
    "error-shadowed": _warning("An error name is not listed again further down, where it is never looked at."),
    "never-ends": _warning("From each state an end can be reached."),
    "resource-name": _warning(
        "A Resource is an ARN where the machine is to run on AWS: a bare name is an activity here."
    ),
    "resource-hole": _warning("A Resource has a value: null is what templates leave for !GetAtt and the like."),
}
"""All rules by their id."""


@dataclass(frozen=True, slots=True)
class Finding(errors.Finding):
    """One thing that is wrong, or looks wrong, in a definition. `path` is where, such as `/States/Ask/Retry[0]/ErrorEquals`."""

    rule: str = ""
    severity: Severity = Severity.ERROR

    @property
    def code(self) -> str:
        """AWS's code; empty where AWS has none."""
        return RULES[self.rule].code

    @property
    def text(self) -> str:
        """The finding as AWS writes it into a refusal."""
        return f"{self.code or self.rule}: {self.problem} at {self.path}"


def finding(rule: str, path: str, problem: str, hint: str = "") -> Finding:
    """Return a finding under a rule, which knows how bad it is. The root's path is `/`."""
    return Finding(path or "/", problem, hint, rule, RULES[rule].severity)


def under(rule: str, findings: Iterable[errors.Finding]) -> list[Finding]:
    """Return findings of the expressions' parsers as findings under a rule."""
    return [finding(rule, each.path, each.problem, each.hint) for each in findings]


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """Return the errors among findings, in their order."""
    return [each for each in findings if each.severity is Severity.ERROR]


def refusal(findings: Sequence[Finding]) -> str | None:
    """Return the message with which AWS refuses a machine with these findings, or None where it takes it."""
    found = problems(findings)
    return f"Invalid State Machine Definition: '{', '.join(each.text for each in found)}'" if found else None


def diagnostics(findings: Sequence[Finding], *, warnings: bool = False, results_max: int = 100) -> dict[str, Any]:
    """Return findings as ValidateStateMachineDefinition answers, with warnings only where they are asked for."""
    shown = [each for each in findings if warnings or each.severity is Severity.ERROR]
    return {
        "result": "FAIL" if problems(findings) else "OK",
        "diagnostics": [
            {
                "severity": each.severity.upper(),
                "code": each.code or each.rule.upper().replace("-", "_"),
                "message": each.problem,
                "location": each.path,
            }
            for each in shown[:results_max]
        ],
        "truncated": len(shown) > results_max,
    }
