"""What a call of each service may be given: `checked` says all that is wrong with it at once, before anything is called."""

from collections.abc import Callable, Mapping
from typing import Final, cast

from penstock.core.asl.services.problems import not_started
from penstock.core.asl.values import Json, is_number

TEXT: Final = "text"
NUMBER: Final = "number"
TRUTH: Final = "truth"
OBJECT: Final = "object"
LIST: Final = "list"
ANY: Final = "any"

_CONDITIONAL: Final = {
    "ConditionExpression": TEXT,
    "ConditionalOperator": TEXT,
    "Expected": OBJECT,
    "ExpressionAttributeNames": OBJECT,
    "ExpressionAttributeValues": OBJECT,
    "ReturnConsumedCapacity": TEXT,
    "ReturnItemCollectionMetrics": TEXT,
    "ReturnValues": TEXT,
    "ReturnValuesOnConditionCheckFailure": TEXT,
    "TableName!": TEXT,
}
_CALLS: Final[Mapping[str, Mapping[str, str]]] = {
    "sqs:sendMessage": {
        "QueueUrl!": TEXT,
        "MessageBody!": ANY,
        "DelaySeconds": NUMBER,
        "MessageAttributes": OBJECT,
        "MessageSystemAttributes": OBJECT,
        "MessageDeduplicationId": TEXT,
        "MessageGroupId": TEXT,
    },
    "sns:publish": {
        "Message!": ANY,
        "TopicArn": TEXT,
        "TargetArn": TEXT,
        "PhoneNumber": TEXT,
        "Subject": TEXT,
        "MessageStructure": TEXT,
        "MessageAttributes": OBJECT,
        "MessageDeduplicationId": TEXT,
        "MessageGroupId": TEXT,
    },
    "events:putEvents": {"Entries!": LIST, "EndpointId": TEXT},
    "dynamodb:getItem": {
        "Key!": OBJECT,
        "TableName!": TEXT,
        "AttributesToGet": LIST,
        "ConsistentRead": TRUTH,
        "ExpressionAttributeNames": OBJECT,
        "ProjectionExpression": TEXT,
        "ReturnConsumedCapacity": TEXT,
    },
    "dynamodb:putItem": {"Item!": OBJECT, **_CONDITIONAL},
    "dynamodb:deleteItem": {"Key!": OBJECT, **_CONDITIONAL},
    "dynamodb:updateItem": {"Key!": OBJECT, "AttributeUpdates": OBJECT, "UpdateExpression": TEXT, **_CONDITIONAL},
    "states:startExecution": {"StateMachineArn!": TEXT, "Input": ANY, "Name": TEXT, "TraceHeader": TEXT},
    "http:invoke": {
        "ApiEndpoint!": TEXT,
        "Method!": TEXT,
        "Authentication": OBJECT,
        "InvocationConfig": OBJECT,
        "Headers": OBJECT,
        "QueryParameters": OBJECT,
        "RequestBody": ANY,
        "Transform": OBJECT,
    },
    "bedrock:invokeModel": {
        "ModelId!": TEXT,
        "Accept": TEXT,
        "Body": ANY,
        "ContentType": TEXT,
        "GuardrailIdentifier": TEXT,
        "GuardrailVersion": TEXT,
        "Input": OBJECT,
        "Output": OBJECT,
        "Trace": TEXT,
    },
}
"""By `service:action`: the fields of a call and what each holds; `!` marks those that must be there."""
_SAME: Final = {"sfn": "states", "eventbridge": "events", "bedrockruntime": "bedrock"}
"""Services that go by another name under `aws-sdk:`."""

_KINDS: Final[Mapping[str, Callable[[Json], bool]]] = {
    TEXT: lambda value: isinstance(value, str),
    NUMBER: lambda value: is_number(value) or (isinstance(value, str) and value.lstrip("-").isdigit()),
    TRUTH: lambda value: isinstance(value, bool),
    OBJECT: lambda value: isinstance(value, dict),
    LIST: lambda value: isinstance(value, list),
    ANY: lambda _: True,
}


def action_of(service: str, action: str) -> str | None:
    """Return the call that a Resource names, as `sqs:sendMessage`; None when its parameters are not known here."""
    name = f"{_SAME.get(service, service)}:{action}"
    return name if name in _CALLS else None


def known_actions() -> tuple[str, ...]:
    return tuple(_CALLS)


def checked(call: str, parameters: Json) -> dict[str, Json]:
    """Return the parameters of a call; raise `CallFailed` with all that is wrong with them. Fields of null count as absent."""
    fields = _CALLS[call]
    if not isinstance(parameters, dict):
        raise not_started(parameters, [f"The Parameters of {call} must be an object"])
    known = {name.removesuffix("!"): kind for name, kind in fields.items()}
    given = {name: value for name, value in parameters.items() if value is not None or known.get(name) == ANY}
    problems = [f"The field '{name}' is not supported by Step Functions" for name in given if name not in known]
    problems += [
        f"The field '{name.removesuffix('!')}' is required but was missing"
        for name in fields
        if name.endswith("!") and name.removesuffix("!") not in given
    ]
    problems += [
        f"The value of the field '{name}' has an invalid format"
        for name, value in given.items()
        if name in known and not _KINDS[known[name]](value)
    ]
    problems += _MORE.get(call, _nothing_more)(given)
    if problems:
        raise not_started(cast("Json", parameters), problems)
    return given


def _nothing_more(_given: Mapping[str, Json]) -> list[str]:
    return []


def _http_problems(given: Mapping[str, Json]) -> list[str]:
    problems: list[str] = []
    if not any(_connection_in(given.get(name)) for name in ("Authentication", "InvocationConfig")):
        problems.append("The field 'ConnectionArn' is required but was missing")
    return problems


def _connection_in(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(value.get("ConnectionArn"), str)


def _publish_problems(given: Mapping[str, Json]) -> list[str]:
    if not any(name in given for name in ("TopicArn", "TargetArn", "PhoneNumber")):
        return ["One of the fields 'TopicArn', 'TargetArn' or 'PhoneNumber' is required"]
    return []


def _model_problems(given: Mapping[str, Json]) -> list[str]:
    if ("Body" in given) == ("Input" in given):
        return ["Exactly one of the fields 'Body' and 'Input' is required"]
    return []


_MORE: Final = {
    "http:invoke": _http_problems,
    "sns:publish": _publish_problems,
    "bedrock:invokeModel": _model_problems,
}
