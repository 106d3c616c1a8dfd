"""The fields of everything in a definition, as tables: which a type of state has, in which query language, and what they take.

Only what one object shows by itself is here. What the states do together is in `core/asl/transitions.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from penstock.core.asl.choices import OPERATORS, parse_rule
from penstock.core.asl.definition import JSONATA, JSONPATH, TIMEOUT_S_MAX, QueryLanguage
from penstock.core.asl.errors_caught import catchers, retriers
from penstock.core.asl.findings import Finding, finding, under
from penstock.core.asl.labels import label
from penstock.core.asl.resources import Kind, parse_resource
from penstock.core.asl.shape import (
    BOTH,
    Check,
    Field,
    anything,
    assignments,
    at_least_one,
    at_most_one,
    flag,
    kind_of,
    list_of,
    mapping,
    number,
    object_of,
    one_of,
    or_jsonata,
    path_in,
    payload,
    text,
    timestamp,
)
from penstock.core.asl.values import Json, is_number

INPUT_BYTES_MAX: Final = 262_144
ITEMS_MAX: Final = 100_000_000
MAX_DELAY_S_MAX: Final = 31_622_399
VERSIONS: Final = ("1.0",)

_P: Final = frozenset((JSONPATH,))
_A: Final = frozenset((JSONATA,))
_SECONDS: Final = number(1, TIMEOUT_S_MAX)
_REFERENCE: Final = path_in(null=False, reference=True)
_DATA_PATH: Final = path_in(null=True)
_COUNT: Final = number(0, ITEMS_MAX)

COMMENT: Final = {"Comment": Field(text)}
LANGUAGE: Final = {"QueryLanguage": Field(one_of(JSONPATH, JSONATA))}
_STATE: Final = {"Type": Field(text, required=True)} | COMMENT | LANGUAGE
_FLOW: Final = {
    "InputPath": Field(_DATA_PATH, languages=_P, instead="Arguments or Output"),
    "OutputPath": Field(_DATA_PATH, languages=_P, instead="Output"),
    "Output": Field(payload, languages=_A, instead="Parameters, ResultSelector, ResultPath and OutputPath"),
}
_ASSIGN: Final = {"Assign": Field(assignments)}
_ONWARD: Final = {"Next": Field(text), "End": Field(flag)}
_RESULT_PATH: Final = {
    "ResultPath": Field(path_in(null=True, reference=True, writable=True), languages=_P, instead="Output")
}
_ARGUMENTS: Final = {
    "Parameters": Field(payload, languages=_P, instead="Arguments"),
    "Arguments": Field(payload, languages=_A, instead="Parameters"),
}
_SELECTOR: Final = {"ResultSelector": Field(payload, languages=_P, instead="Output")}
_RETRIES: Final = {
    "Retry": Field(
        list_of(
            object_of(
                COMMENT
                | {
                    "ErrorEquals": Field(list_of(text), required=True),
                    "IntervalSeconds": Field(_SECONDS),
                    "MaxAttempts": Field(number(0, TIMEOUT_S_MAX)),
                    "BackoffRate": Field(number(1, TIMEOUT_S_MAX, whole=False)),
                    "MaxDelaySeconds": Field(number(1, MAX_DELAY_S_MAX)),
                    "JitterStrategy": Field(one_of("FULL", "NONE")),
                }
            ),
            empty=True,
        )
    ),
}
_CATCHES: Final = {
    "Catch": Field(
        list_of(
            object_of(
                COMMENT
                | _ASSIGN
                | _RESULT_PATH
                | {
                    "ErrorEquals": Field(list_of(text), required=True),
                    "Next": Field(text, required=True),
                    "Output": Field(payload, languages=_A, instead="ResultPath"),
                }
            ),
            empty=True,
        )
    ),
}


def _with_path(name: str, check: Check) -> dict[str, Field]:
    """Return a field and the one that ends with Path, which JSONata does not need."""
    return {name: Field(or_jsonata(check)), f"{name}Path": Field(_REFERENCE, languages=_P, instead=name)}


def next_or_end(value: dict[str, Json], path: str, _language: QueryLanguage) -> Iterable[Finding]:
    """Tell whether a state says what comes after it, in one way."""
    ends = value.get("End", False) is not False
    if "Next" in value and ends:
        yield finding("next-or-end", path, "has both Next and End", "keep the one that is meant")
    elif "Next" not in value and not ends:
        yield finding("next-or-end", path, "has neither Next nor End", 'add "End": true, or the name of the next state')


def _heartbeat(value: dict[str, Json], path: str, _language: QueryLanguage) -> Iterable[Finding]:
    timeout, heartbeat = value.get("TimeoutSeconds"), value.get("HeartbeatSeconds")
    if is_number(timeout) and is_number(heartbeat) and heartbeat >= timeout:
        where = f"{path}/HeartbeatSeconds"
        yield finding("heartbeat", where, f"is {heartbeat}, but must be less than TimeoutSeconds, which is {timeout}")


def _resource(value: Json, path: str, _language: QueryLanguage) -> list[Finding]:
    if value is None:
        hint = "fill in what the template's function gives, before the machine runs"
        return [finding("resource-hole", path, "is null", hint)]
    if not isinstance(value, str):
        return [finding("value-type", path, f"must be a string, not {kind_of(value)}")]
    parsed = parse_resource(value)
    if parsed is None:
        hint = "name an ARN, agent:NAME or workflow:NAME"
        return [finding("resource", path, "Value is not a valid resource ARN", hint)]
    if parsed.kind is Kind.ACTIVITY and parsed.name == value:
        return [finding("resource-name", path, f"{value!r} is the name of an activity here, and nothing on AWS")]
    return []


def _credentials(value: Json, path: str, language: QueryLanguage) -> list[Finding]:
    if not isinstance(value, dict):
        return [finding("value-type", path, f"must be an object, not {kind_of(value)}")]
    if "RoleArn" not in value and "RoleArn.$" not in value:
        return [finding("field-missing", path, "The field 'RoleArn' is required but was missing")]
    return payload(value, path, language)


_RULE: Final = COMMENT | _ASSIGN | {"Next": Field(text, required=True)}
_CONDITION: Final = object_of(
    _RULE
    | {
        "Condition": Field(or_jsonata(flag), required=True, languages=_A),
        "Output": Field(payload, languages=_A),
    }
    | {name: Field(anything, languages=_P, instead="Condition") for name in ("Variable", *sorted(OPERATORS))},
)
_RULE_FIELDS: Final = object_of(
    _RULE
    | {name: Field(anything) for name in ("Variable", *sorted(OPERATORS))}
    | {name: Field(anything, languages=_A) for name in ("Condition", "Output")}
)
_NESTED_FIELDS: Final = object_of(COMMENT | {name: Field(anything) for name in ("Variable", *sorted(OPERATORS))})


def _nested(rule: Json, path: str, *, inside: bool) -> list[Finding]:
    if not isinstance(rule, dict):
        return []
    found = _NESTED_FIELDS(rule, path, JSONPATH) if inside else []
    for name in ("And", "Or"):
        members = rule.get(name)
        for index, member in enumerate(members if isinstance(members, list) else []):
            found += _nested(member, f"{path}/{name}[{index}]", inside=True)
    return found + _nested(rule.get("Not"), f"{path}/Not", inside=True)


def choice_rule(value: Json, path: str, language: QueryLanguage) -> list[Finding]:
    """Check a member of Choices."""
    if language == JSONATA or not isinstance(value, dict):
        return _CONDITION(value, path, language)
    _, found = parse_rule(value, path)
    foreign = "Condition" in value and not OPERATORS & value.keys()
    compared = [] if foreign else under("choice-rule", found)
    return [*_RULE_FIELDS(value, path, language), *compared, *_nested(value, path, inside=False)]


_READER_CONFIG: Final = object_of(
    {
        "InputType": Field(one_of("CSV", "JSON", "JSONL", "MANIFEST", "PARQUET")),
        "Transformation": Field(one_of("NONE", "LOAD_AND_FLATTEN")),
        "ManifestType": Field(one_of("ATHENA_DATA", "S3_INVENTORY")),
        "CSVHeaderLocation": Field(one_of("FIRST_ROW", "GIVEN")),
        "CSVHeaders": Field(or_jsonata(list_of(text))),
        "CSVDelimiter": Field(one_of("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")),
        "ItemsPointer": Field(text),
    }
    | COMMENT
    | _with_path("MaxItems", _COUNT),
    at_most_one("MaxItems", "MaxItemsPath"),
)
_ITEM_READER: Final = object_of(
    COMMENT | _ARGUMENTS | {"Resource": Field(_resource, required=True), "ReaderConfig": Field(_READER_CONFIG)}
)
_ITEM_BATCHER: Final = object_of(
    COMMENT
    | {"BatchInput": Field(payload)}
    | _with_path("MaxItemsPerBatch", number(1, ITEMS_MAX))
    | _with_path("MaxInputBytesPerBatch", number(1, INPUT_BYTES_MAX)),
    at_most_one("MaxItemsPerBatch", "MaxItemsPerBatchPath"),
    at_most_one("MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"),
    at_least_one("MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"),
)
_RESULT_WRITER: Final = object_of(
    COMMENT
    | _ARGUMENTS
    | {
        "Resource": Field(_resource),
        "WriterConfig": Field(
            object_of(
                COMMENT
                | {
                    "Transformation": Field(one_of("NONE", "COMPACT", "FLATTEN")),
                    "OutputType": Field(one_of("JSON", "JSONL")),
                }
            )
        ),
    },
    at_least_one("Resource", "WriterConfig"),
)
PROCESSOR_CONFIG: Final = object_of(
    {
        "Mode": Field(one_of("INLINE", "DISTRIBUTED")),
        "ExecutionType": Field(one_of("STANDARD", "EXPRESS")),
    }
    | COMMENT
)


def _distributed_only(value: dict[str, Json], path: str, _language: QueryLanguage) -> Iterable[Finding]:
    processor = value.get("ItemProcessor")
    config = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
    if isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED":
        if "ExecutionType" not in config:
            where = f"{path}/ItemProcessor/ProcessorConfig"
            yield finding("field-missing", where, "These fields are required: [ExecutionType]", "STANDARD or EXPRESS")
        return
    for name in ("ItemReader", "ItemBatcher", "ResultWriter", "Label"):
        if name in value:
            hint = 'set "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"} in ItemProcessor'
            yield finding("field-mode", f"{path}/{name}", f"Field '{name}' is for distributed Maps only", hint)


def _given_headers(value: dict[str, Json], path: str, _language: QueryLanguage) -> Iterable[Finding]:
    reader = value.get("ItemReader")
    config = reader.get("ReaderConfig") if isinstance(reader, dict) else None
    if isinstance(config, dict) and config.get("CSVHeaderLocation") == "GIVEN" and "CSVHeaders" not in config:
        yield finding("field-missing", f"{path}/ItemReader/ReaderConfig", "These fields are required: [CSVHeaders]")


STATES: Final[Mapping[str, Check]] = {
    "Task": object_of(
        _STATE
        | _FLOW
        | _ASSIGN
        | _ONWARD
        | _RESULT_PATH
        | _ARGUMENTS
        | _SELECTOR
        | _RETRIES
        | _CATCHES
        | {"Resource": Field(_resource, required=True), "Credentials": Field(_credentials)}
        | _with_path("TimeoutSeconds", _SECONDS)
        | _with_path("HeartbeatSeconds", _SECONDS),
        next_or_end,
        at_most_one("TimeoutSeconds", "TimeoutSecondsPath"),
        at_most_one("HeartbeatSeconds", "HeartbeatSecondsPath"),
        _heartbeat,
        retriers,
        catchers,
    ),
    "Pass": object_of(
        _STATE
        | _FLOW
        | _ASSIGN
        | _ONWARD
        | _RESULT_PATH
        | {
            "Parameters": Field(payload, languages=_P, instead="Output"),
            "Result": Field(anything, languages=_P, instead="Output"),
        },
        next_or_end,
    ),
    "Choice": object_of(
        _STATE | _FLOW | _ASSIGN | {"Choices": Field(list_of(choice_rule), required=True), "Default": Field(text)},
    ),
    "Wait": object_of(
        _STATE
        | _FLOW
        | _ASSIGN
        | _ONWARD
        | _with_path("Seconds", number(0, TIMEOUT_S_MAX))
        | _with_path("Timestamp", timestamp),
        next_or_end,
        at_most_one("Seconds", "SecondsPath", "Timestamp", "TimestampPath"),
        at_least_one("Seconds", "SecondsPath", "Timestamp", "TimestampPath"),
    ),
    "Succeed": object_of(_STATE | _FLOW),
    "Fail": object_of(
        _STATE
        | {
            name: each
            for part in ("Error", "Cause")
            for name, each in {
                part: Field(or_jsonata(text)),
                f"{part}Path": Field(path_in(null=False, reference=True, calls=True), languages=_P, instead=part),
            }.items()
        },
        at_most_one("Error", "ErrorPath"),
        at_most_one("Cause", "CausePath"),
    ),
    "Parallel": object_of(
        _STATE
        | _FLOW
        | _ASSIGN
        | _ONWARD
        | _RESULT_PATH
        | _ARGUMENTS
        | _SELECTOR
        | _RETRIES
        | _CATCHES
        | {"Branches": Field(list_of(mapping), required=True)},
        next_or_end,
        retriers,
        catchers,
    ),
    "Map": object_of(
        _STATE
        | _FLOW
        | _ASSIGN
        | _ONWARD
        | _RESULT_PATH
        | _SELECTOR
        | _RETRIES
        | _CATCHES
        | _with_path("MaxConcurrency", _COUNT)
        | _with_path("ToleratedFailureCount", _COUNT)
        | _with_path("ToleratedFailurePercentage", number(0, 100, whole=False))
        | {
            "ItemProcessor": Field(mapping),
            "Iterator": Field(mapping),
            "Items": Field(or_jsonata(list_of(anything, empty=True)), languages=_A, instead="ItemsPath"),
            "ItemsPath": Field(path_in(null=False), languages=_P, instead="Items"),
            "ItemSelector": Field(payload),
            "Parameters": Field(payload, languages=_P, instead="ItemSelector"),
            "ItemReader": Field(_ITEM_READER),
            "ItemBatcher": Field(_ITEM_BATCHER),
            "ResultWriter": Field(_RESULT_WRITER),
            "Label": Field(label),
        },
        next_or_end,
        at_least_one("ItemProcessor", "Iterator"),
        at_most_one("ItemProcessor", "Iterator"),
        at_most_one("ItemSelector", "Parameters"),
        at_most_one("MaxConcurrency", "MaxConcurrencyPath"),
        at_most_one("ToleratedFailureCount", "ToleratedFailureCountPath"),
        at_most_one("ToleratedFailurePercentage", "ToleratedFailurePercentagePath"),
        _distributed_only,
        _given_headers,
        retriers,
        catchers,
    ),
}
"""How a state of each type is checked; what its branches hold is left to whoever walks through them."""

_CONTENT: Final = {"StartAt": Field(text, required=True), "States": Field(mapping, required=True)} | COMMENT
BRANCH: Final = object_of(_CONTENT)
PROCESSOR: Final = object_of(_CONTENT | {"ProcessorConfig": Field(PROCESSOR_CONFIG)})
MACHINE: Final = object_of(
    _CONTENT | LANGUAGE | {"TimeoutSeconds": Field(_SECONDS), "Version": Field(one_of(*VERSIONS), languages=BOTH)}
)
