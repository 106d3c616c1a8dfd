"""What a target of a rule gets instead of the event: a constant, a part of the event, or a template filled from it.

The documents are those of EventBridge's targets: `Input`, `InputPath` or `InputTransformer`, one of them at most.
"""

import json
from collections.abc import Mapping
from typing import cast

from msgspec import Struct

from penstock.core.asl.failures import PathInvalid, PathNotFound
from penstock.core.asl.paths.parsing import parse_path
from penstock.core.asl.paths.path import Path
from penstock.core.asl.values import Json
from penstock.core.patterns.documents import is_object
from penstock.core.patterns.templates import TEMPLATE_CHARS_MAX, Template, template_of
from penstock.errors import Finding, Invalid

VARIABLES_MAX = 100
PATH_CHARS_MAX = 256
WHAT = "the input of the target"
_KINDS = ("Input", "InputPath", "InputTransformer")
_RESERVED = ("aws.events.rule-arn", "aws.events.rule-name", "aws.events.event.ingestion-time", "aws.events.event")
RESERVED = frozenset({*_RESERVED, "aws.events.event.json"})


class Rule(Struct, frozen=True):
    """What the reserved variables say of the rule and the moment."""

    name: str = ""
    arn: str = ""
    ingestion_time: str = ""
    """When the event came in, as ISO 8601 has it; the event's own time where it is not given."""


class TargetInput(Struct, frozen=True):
    """What a target gets."""

    constant: str | None = None
    path: Path | None = None
    template: Template | None = None
    variables: dict[str, Path] = {}

    def of(self, event: Mapping[str, object], rule: Rule | None = None) -> str:
        """Return what the target gets of an event, as text: JSON, or the lines of a template of texts.

        A path that finds nothing gives null. Raises `Refused` where a filled template is no JSON.
        """
        if self.constant is not None:
            return self.constant
        if self.path is not None:
            return _json(_found(self.path, event, None))
        if self.template is None:
            return _json(event)
        values = {name: _found(path, event, "") for name, path in self.variables.items()}
        return self.template.filled({**values, **_reserved(self.template.variables, event, rule or Rule())})


def parse_input(target: Mapping[str, object]) -> TargetInput:
    """Read what a target gets; other members of the target are passed over. Raises `Invalid` with every finding."""
    given = [kind for kind in _KINDS if target.get(kind) is not None]
    findings: list[Finding] = []
    if len(given) > 1:
        findings.append(
            Finding(f"$.{given[1]}", "Only one of Input, InputPath, or InputTransformer must be provided", "leave one")
        )
    read = [_READERS[kind](target[kind], f"$.{kind}", findings) for kind in given]
    if findings:
        raise Invalid(WHAT, tuple(findings))
    return read[0] if read else TargetInput()


def _constant(given: object, where: str, findings: list[Finding]) -> TargetInput:
    text = given if isinstance(given, str) else ""
    try:
        json.loads(text)
    except ValueError as error:
        findings.append(Finding(where, f"must be valid JSON: {error}", "quote it, if it is a text"))
    return TargetInput(constant=text)


def _part(given: object, where: str, findings: list[Finding]) -> TargetInput:
    return TargetInput(path=_path(given, where, findings))


def _transformer(given: object, where: str, findings: list[Finding]) -> TargetInput:
    members = _object(given)
    text = members.get("InputTemplate")
    if not isinstance(text, str) or not 0 < len(text) <= TEMPLATE_CHARS_MAX:
        problem = f"must be a text of 1 to {TEMPLATE_CHARS_MAX} characters"
        findings.append(Finding(f"{where}.InputTemplate", problem, "such as '{\"id\": <id>}'"))
        text = "{}"
    template = template_of(text)
    findings += template.findings(f"{where}.InputTemplate")
    paths: object = members.get("InputPathsMap")
    at = f"{where}.InputPathsMap"
    if paths is not None and not is_object(paths):
        findings.append(Finding(at, "must be an object", "names of variables, and their paths"))
    variables: dict[str, Path] = {}
    for name, path in _object(paths).items():
        if name in RESERVED or name.startswith("AWS"):
            findings.append(Finding(f"{at}.{name}", "is a reserved name", "names cannot start with AWS"))
        variables[name] = _path(path, f"{at}.{name}", findings)
    if len(variables) > VARIABLES_MAX:
        findings.append(Finding(at, f"names {len(variables)} variables", f"{VARIABLES_MAX} at most"))
    for name in dict.fromkeys(template.variables):
        if name not in variables and name not in RESERVED:
            hint = f"one of {', '.join(sorted({*variables, *RESERVED}))}"
            findings.append(Finding(f"{where}.InputTemplate", f"contains invalid placeholder {name}", hint))
    return TargetInput(template=template, variables=variables)


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


_READERS = {"Input": _constant, "InputPath": _part, "InputTransformer": _transformer}


def _path(given: object, where: str, findings: list[Finding]) -> Path:
    text = given if isinstance(given, str) else ""
    if not text.startswith("$") or len(text) > PATH_CHARS_MAX:
        problem = f"must be a JSON path of at most {PATH_CHARS_MAX} characters"
        findings.append(Finding(where, problem, "such as $.detail.id"))
        return parse_path("$")
    try:
        return parse_path(text)
    except PathInvalid as error:
        findings.append(Finding(where, f"is no JSON path: {error}", "such as $.detail.id"))
        return parse_path("$")


def _found(path: Path, event: Mapping[str, object], otherwise: Json) -> Json:
    try:
        return path.find(cast("Json", event), strict=True)
    except PathNotFound:
        return otherwise


def _reserved(names: list[str], event: Mapping[str, object], rule: Rule) -> dict[str, object]:
    wanted = RESERVED.intersection(names)
    if not wanted:
        return {}
    around = {
        ("detailType" if name == "detail-type" else name): each for name, each in event.items() if name != "detail"
    }
    return {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": rule.ingestion_time or event.get("time", ""),
        "aws.events.event": around,
        "aws.events.event.json": event,
    }


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
