"""What Tasks call, carried out elsewhere: on AWS, or on whoever speaks its protocol at an address."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol, cast

from penstock.core.asl.services import parameters, problems
from penstock.core.asl.values import Json
from penstock.runtime.machine_tasks import Outside, TaskCall, TaskFailed

SERVICES: Final = ("sqs", "sns", "events", "dynamodb", "states", "bedrock")
_SDK_NAMES: Final = {"events": "eventbridge", "states": "sfn", "bedrock": "bedrockruntime"}


class Elsewhere(Protocol):
    """Who carries calls out. Raises `CallFailed`."""

    async def carried_out(
        self, call: str, given: Mapping[str, Json], key: str, *, sdk: bool = False
    ) -> dict[str, Json]: ...
    async def execution_ended(self, arn: str, *, parsed: bool) -> dict[str, Json]: ...


def fill_remote(outside: Outside, elsewhere: Elsewhere, services: Collection[str]) -> None:
    """Have these services carried out elsewhere."""
    for call in parameters.known_actions():
        service, action = call.split(":")
        if service in services:
            remote = _Job(call, elsewhere) if service == "states" else _Remote(call, elsewhere)
            outside.services[call] = remote
            outside.services[f"aws-sdk:{_SDK_NAMES.get(service, service)}:{action}"] = remote


class _Remote:
    def __init__(self, call: str, elsewhere: Elsewhere) -> None:
        self._call = call
        self._elsewhere = elsewhere

    async def __call__(self, call: TaskCall, /) -> Json:
        sdk = call.resource.sdk
        try:
            given = parameters.checked(self._call, call.arguments)
            answer = await self._elsewhere.carried_out(self._call, given, call.idempotency_key, sdk=sdk)
        except problems.CallFailed as error:
            raise TaskFailed(error.error, error.cause) from error
        if sdk or self._call == "bedrock:invokeModel":
            return {name.replace("MD5", "Md5", 1): value for name, value in answer.items()}
        return problems.answered(answer, problems.identity("request", call.idempotency_key))


class _Job(_Remote):
    """One whose `.sync` waits for the end of what was started."""

    async def ended(self, call: TaskCall, begun: Json, /) -> Json:
        arn: Any = cast("dict[str, Json]", begun)["ExecutionArn"]
        try:
            return await self._elsewhere.execution_ended(str(arn), parsed=call.resource.version == "2")
        except problems.CallFailed as error:
            raise TaskFailed(error.error, error.cause) from error
