"""How a call of a service fails: the error that Retry and Catch see, and the cause, as AWS writes them.

AWS calls its optimised integrations by its older SDK (`DynamoDB.ConditionalCheckFailedException`, "Service: AmazonDynamoDBv2;
Status Code: 400; ..."), and everything under `aws-sdk:` by the newer one (`DynamoDb.ConditionalCheckFailedException`, "Service:
DynamoDb, Status Code: 400, ..."). A code that the SDK has no class for becomes the service's own: `SQS.AmazonSQSException`.
"""

from typing import Final

from msgspec import Struct

from penstock.core.asl.scope import SeededChance
from penstock.core.asl.values import Json, json_text

RUNTIME: Final = "States.Runtime"
TASK_FAILED: Final = "States.TaskFailed"
DATA_LIMIT: Final = "States.DataLimitExceeded"


class CallFailed(Exception):
    """A call of a service failed, with what its task fails with."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.error}: {self.cause}"


class Named(Struct, frozen=True):
    """How AWS's two SDKs call a service."""

    prefix: str  # of the errors of the optimised integration
    service: str  # in their causes
    sdk: str  # both, under `aws-sdk:`

    @property
    def other(self) -> str:
        """The error of a code that the older SDK has no class for."""
        return f"{self.service.removesuffix('v2')}Exception"


NAMES: Final = {
    "dynamodb": Named("DynamoDB", "AmazonDynamoDBv2", "DynamoDb"),
    "sqs": Named("SQS", "AmazonSQS", "Sqs"),
    "sns": Named("SNS", "AmazonSNS", "Sns"),
    "events": Named("EventBridge", "AmazonCloudWatchEvents", "EventBridge"),
    "eventbridge": Named("EventBridge", "AmazonCloudWatchEvents", "EventBridge"),
    "states": Named("StepFunctions", "AWSStepFunctions", "Sfn"),
    "sfn": Named("StepFunctions", "AWSStepFunctions", "Sfn"),
    "bedrock": Named("Bedrock", "AmazonBedrockRuntime", "BedrockRuntime"),
    "bedrockruntime": Named("Bedrock", "AmazonBedrockRuntime", "BedrockRuntime"),
}
_NEWER_ONLY: Final = ("bedrock",)  # optimised, and as young as the newer SDK


class Problem(Struct, frozen=True, kw_only=True):
    """What a service answered instead of doing what it was asked: its code, its words, and whether the SDK knows the code."""

    code: str
    message: str
    status: int = 400
    is_known: bool = True
    request_id: str = ""


def failure(service: str, problem: Problem, *, sdk: bool = False) -> CallFailed:
    """Return what a Task fails with, by the service of its Resource (`sqs`) and whether it is called through `aws-sdk:`."""
    named = NAMES.get(service) or Named(service.capitalize(), service.capitalize(), service.capitalize())
    if sdk or service in _NEWER_ONLY:
        prefix = named.sdk if sdk else named.prefix
        kind = _exception(problem.code) if problem.is_known else f"{named.sdk}Exception"
        details = f"Service: {named.sdk}, Status Code: {problem.status}, Request ID: {problem.request_id}"
        return CallFailed(f"{prefix}.{kind}", f"{problem.message} ({details})")
    kind = _exception(problem.code) if problem.is_known else named.other
    details = f"Service: {named.service}; Status Code: {problem.status}; Error Code: {problem.code}"
    cause = f"{problem.message} ({details}; Request ID: {problem.request_id}; Proxy: null)"
    return CallFailed(f"{named.prefix}.{kind}", cause)


def identity(*seeds: str) -> str:
    """Return an id that looks like AWS's, the same whenever the same thing is asked for again."""
    return SeededChance("/".join(seeds)).uuid()


def answered(answer: dict[str, Json], request_id: str) -> dict[str, Json]:
    """Return an answer with what AWS adds to each."""
    return {
        **answer,
        "SdkHttpMetadata": {"HttpStatusCode": 200},
        "SdkResponseMetadata": {"RequestId": request_id},
    }


def not_started(parameters: Json, problems: list[str]) -> CallFailed:
    """Return what a task fails with whose parameters are no call: no Retry and no Catch sees it."""
    shown = json_text(parameters)
    return CallFailed(RUNTIME, f"The Parameters '{shown}' could not be used to start the Task: [{', '.join(problems)}]")


def _exception(code: str) -> str:
    """Return the class of a code: `AWS.SimpleQueueService.NonExistentQueue` has one by another name."""
    name = _CLASSES.get(code, code.rpartition("#")[2])
    return name if name.endswith("Exception") else f"{name}Exception"


_CLASSES: Final = {
    "AWS.SimpleQueueService.NonExistentQueue": "QueueDoesNotExistException",
    "AWS.SimpleQueueService.UnsupportedOperation": "UnsupportedOperationException",
    "NotFound": "NotFoundException",
    "ExecutionAlreadyExists": "ExecutionAlreadyExistsException",
}
