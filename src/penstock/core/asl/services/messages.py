"""`sqs:sendMessage` and `sns:publish`: what is sent, where to, and what the sender is told."""

import base64
import re
from collections.abc import Mapping
from hashlib import md5
from typing import Any, Final, cast

from msgspec import Struct

from penstock.core.asl.services.problems import CallFailed, Problem, failure, identity
from penstock.core.asl.values import Json, json_text, parsed_json

FIFO: Final = ".fifo"
MESSAGE_BYTES_MAX: Final = 1024 * 1024
ATTRIBUTES_MAX: Final = 10
DELAY_S_MAX: Final = 900
SUBJECT_CHARS_MAX: Final = 100
_ID: Final = re.compile(r"[\w!\"#$%&'()*+,\-./:;<=>?@\[\\\]^`{|}~]{1,128}", re.ASCII)
_ATTRIBUTE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,256}")


class Sending(Struct, frozen=True, kw_only=True):
    """A message on its way. `to` is the name of the queue or topic: the last part of its URL or ARN."""

    to: str
    body: str
    group: str = ""
    deduplication: str = ""
    delay_s: int | None = None
    subject: str = ""
    attributes: Mapping[str, Any] = {}

    @property
    def is_fifo(self) -> bool:
        return self.to.endswith(FIFO)


class Refusals:
    """How a service refuses a call: its name, and the id that it gives to the call."""

    def __init__(self, service: str, request_id: str, *, sdk: bool = False) -> None:
        self.service = service
        self.request_id = request_id
        self._sdk = sdk

    def __call__(self, code: str, message: str, *, status: int = 400, is_known: bool = True) -> CallFailed:
        problem = Problem(code=code, message=message, status=status, is_known=is_known, request_id=self.request_id)
        return failure(self.service, problem, sdk=self._sdk)


def sent_message(parameters: Mapping[str, Json], refused: Refusals) -> Sending:
    """Return the message of a checked `sqs:sendMessage`; raise `CallFailed` for what SQS refuses."""
    body = _text(parameters["MessageBody"])
    delay_s = parameters.get("DelaySeconds")
    sending = Sending(
        to=str(parameters["QueueUrl"]).rstrip("/").rpartition("/")[2].rpartition(":")[2],
        body=body,
        group=str(parameters.get("MessageGroupId", "")),
        deduplication=str(parameters.get("MessageDeduplicationId", "")),
        delay_s=None if delay_s is None else int(cast("float", delay_s)),
        attributes=cast("Mapping[str, Any]", parameters.get("MessageAttributes", {})),
    )
    if not body:
        raise refused("MissingParameter", "The request must contain the parameter MessageBody.", is_known=False)
    if len(body.encode()) > MESSAGE_BYTES_MAX:
        problem = f"One or more parameters are invalid. Reason: Message must be shorter than {MESSAGE_BYTES_MAX} bytes."
        raise refused("InvalidParameterValue", problem, is_known=False)
    if sending.delay_s is not None and not 0 <= sending.delay_s <= DELAY_S_MAX:
        raise _invalid_delay(sending, refused, f"DelaySeconds must be >= 0 and <= {DELAY_S_MAX}.")
    _require_fifo(sending, refused, "MessageGroupId")
    _require_attributes(sending, refused)
    if sending.is_fifo and sending.delay_s:
        reason = "The request include parameter that is not valid for this queue type."
        raise _invalid_delay(sending, refused, reason)
    return sending


def _invalid_delay(sending: Sending, refused: Refusals, reason: str) -> CallFailed:
    problem = f"Value {sending.delay_s} for parameter DelaySeconds is invalid. Reason: {reason}"
    return refused("InvalidParameterValue", problem, is_known=False)


def published_message(parameters: Mapping[str, Json], refused: Refusals) -> Sending:
    """Return the message of a checked `sns:publish`; raise `CallFailed` for what SNS refuses."""
    arn = parameters.get("TopicArn", parameters.get("TargetArn"))
    if arn is None:
        raise refused("InvalidParameter", "Invalid parameter: PhoneNumber Reason: there is nobody to call here")
    body = _text(parameters["Message"])
    subject = str(parameters.get("Subject", ""))
    if parameters.get("MessageStructure") == "json":
        body = _default_of(body, refused)
    if not body:
        raise refused("InvalidParameter", "Invalid parameter: Empty message")
    if len(body.encode()) > MESSAGE_BYTES_MAX:
        raise refused("InvalidParameter", "Invalid parameter: Message too long")
    if len(subject) > SUBJECT_CHARS_MAX or "\n" in subject:
        raise refused("InvalidParameter", "Invalid parameter: Subject")
    sending = Sending(
        to=str(arn).rpartition(":")[2],
        body=body,
        group=str(parameters.get("MessageGroupId", "")),
        deduplication=str(parameters.get("MessageDeduplicationId", "")),
        subject=subject,
        attributes=cast("Mapping[str, Any]", parameters.get("MessageAttributes", {})),
    )
    _require_fifo(sending, refused, "MessageGroupId")
    _require_attributes(sending, refused)
    return sending


def no_such_queue(refused: Refusals) -> CallFailed:
    """Return how a message to nobody is refused."""
    if refused.service == "sns":
        return refused("NotFound", "Topic does not exist", status=404)
    return refused("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


def sent_answer(sending: Sending, key: str) -> dict[str, Json]:
    """Return what SQS answers to who sent a message."""
    answer: dict[str, Json] = {"MessageId": identity("message", key), "MD5OfMessageBody": _md5(sending.body.encode())}
    if sending.attributes:
        answer["MD5OfMessageAttributes"] = _md5(_attribute_bytes(sending.attributes))
    return answer


def published_answer(key: str) -> dict[str, Json]:
    """Return what SNS answers to who published a message."""
    return {"MessageId": identity("message", key)}


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Json]:
    """Return message attributes without their types: numbers as numbers, all else as the texts they are."""
    return {name: _plain(value) for name, value in attributes.items()}


def _plain(value: Mapping[str, Any]) -> Json:
    text = value.get("StringValue", value.get("BinaryValue", ""))
    if str(value.get("DataType", "")).partition(".")[0] == "Number":
        try:
            number = parsed_json(str(text))
        except ValueError:
            return text
        return number if isinstance(number, int | float) else text
    return text


def _text(value: Json) -> str:
    """Step Functions makes JSON of whatever is no text."""
    return value if isinstance(value, str) else json_text(value)


def _default_of(body: str, refused: Refusals) -> str:
    try:
        by_protocol = parsed_json(body)
    except ValueError as error:
        raise refused(
            "InvalidParameter", "Invalid parameter: Message Structure - JSON message body failed to parse"
        ) from error
    default = by_protocol.get("default") if isinstance(by_protocol, dict) else None
    if not isinstance(default, str):
        raise refused(
            "InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body"
        )
    return default


def _require_fifo(sending: Sending, refused: Refusals, name: str) -> None:
    if not sending.is_fifo:
        return
    if not sending.group:
        if refused.service == "sns":
            problem = f"Invalid parameter: The {name} parameter is required for FIFO topics"
            raise refused("InvalidParameter", problem)
        raise refused("MissingParameter", f"The request must contain the parameter {name}.", is_known=False)
    for parameter, value in ((name, sending.group), ("MessageDeduplicationId", sending.deduplication)):
        if value and not _ID.fullmatch(value):
            reason = f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
            problem = f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
            raise refused("InvalidParameterValue", problem, is_known=False)


def _require_attributes(sending: Sending, refused: Refusals) -> None:
    known = refused.service == "sns"
    code = "InvalidParameter" if known else "InvalidParameterValue"
    if len(sending.attributes) > ATTRIBUTES_MAX and not known:
        problem = (
            f"Number of message attributes [{len(sending.attributes)}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )
        raise refused(code, problem, is_known=False)
    for name, value in sending.attributes.items():
        if not _ATTRIBUTE.fullmatch(name):
            raise refused(code, f"Message attribute name '{name}' is invalid.", is_known=known)
        fields = cast("Mapping[str, object]", value if isinstance(value, Mapping) else {})
        kind = fields.get("DataType")
        if not isinstance(kind, str) or kind.partition(".")[0] not in ("String", "Number", "Binary"):
            problem = f"The message attribute '{name}' has an invalid message attribute type"
            types = "the set of supported type prefixes is Binary, Number, and String."
            raise refused(code, f"{problem}, {types}", is_known=known)
        content = fields.get("BinaryValue" if kind.startswith("Binary") else "StringValue")
        if not isinstance(content, str) or not content:
            problem = f"The message attribute '{name}' must contain non-empty message attribute value"
            raise refused(code, f"{problem} for message attribute type '{kind}'.", is_known=known)


def _md5(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()


def _attribute_bytes(attributes: Mapping[str, Any]) -> bytes:
    """Return attributes as SQS lays them out for their digest: by name, each part behind its length."""
    parts: list[bytes] = []
    for name, value in sorted(attributes.items()):
        binary = str(value["DataType"]).startswith("Binary")
        content = base64.b64decode(value["BinaryValue"]) if binary else str(value["StringValue"]).encode()
        for part in (name.encode(), str(value["DataType"]).encode()):
            parts += [len(part).to_bytes(4), part]
        parts += [b"\x02" if binary else b"\x01", len(content).to_bytes(4), content]
    return b"".join(parts)
