"""Calls of AWS's services, or of whoever speaks their protocol: boto3 (extra `penstock[aws]`).

- Each effect that the service lets us name is named by the task's idempotency key: a FIFO message by its deduplication id, an
  execution by its name, an item's conditional write by a ClientRequestToken, which DynamoDB knows for ten minutes.
- A call is made once: what follows a failure is for the machine's Retry to say.
- Credentials and region are those that boto3 finds: environment, profile, role.
"""

import base64
from asyncio import sleep, to_thread
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from importlib import import_module
from typing import Any, Final, cast

import msgspec

from penstock.core.asl.services import bus, executions, messages, problems
from penstock.core.asl.values import Json, json_text
from penstock.errors import Missing

CONNECT_WITHIN_S: Final = 10
ANSWER_WITHIN_S: Final = 120
LOOKED_AGAIN_S: Final = (0.2, 20.0)  # for the end of an execution: how soon at first, how seldom at last
_CLIENTS: Final = {"states": "stepfunctions", "bedrock": "bedrock-runtime"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@contextmanager
def open_aws(endpoint: str | None = None, region: str | None = None) -> Generator["AwsServices"]:
    """Open AWS, or what answers at an endpoint such as http://127.0.0.1:4566; `Missing` without the extra."""
    try:
        library, config = import_module("boto3"), import_module("botocore.config")
    except ImportError as error:
        raise Missing("boto3, which speaks to AWS,", "pip install 'penstock[aws]'") from error
    options = config.Config(
        retries={"total_max_attempts": 1}, connect_timeout=CONNECT_WITHIN_S, read_timeout=ANSWER_WITHIN_S
    )
    services = AwsServices(library.session.Session(region_name=region), endpoint, options)
    try:
        yield services
    finally:
        services.close()


class AwsServices:
    """Carries calls out there. `call` is `sqs:sendMessage`; what it is given was checked."""

    def __init__(self, session: Any, endpoint: str | None, options: Any) -> None:
        self._session = session
        self._endpoint = endpoint
        self._options = options
        self._clients: dict[str, Any] = {}
        self._errors = import_module("botocore.exceptions")

    async def carried_out(
        self, call: str, given: Mapping[str, Json], key: str, *, sdk: bool = False
    ) -> dict[str, Json]:
        """Return the answer of a service; raise `CallFailed` as Step Functions would."""
        service, action = call.split(":")
        match service:
            case "dynamodb":
                return await self._item(action, given, key, sdk=sdk)
            case "events":
                return await self._put_events(given, key, sdk=sdk)
            case "bedrock":
                return await self._model(given, sdk=sdk)
            case "states":
                asked = {
                    "stateMachineArn": given["StateMachineArn"],
                    "input": executions.input_text(given.get("Input")),
                }
                asked["name"] = given.get("Name") or problems.identity("execution", key)
                told = await self._ask(service, "start_execution", asked, sdk=sdk)
                return {"ExecutionArn": told["executionArn"], "StartDate": _plain(told["startDate"])}
            case "sns":
                asked = {**given, "Message": _text(given["Message"])}
                return _plain(
                    await self._ask(service, "publish", _named(asked, str(given.get("TopicArn", "")), key), sdk=sdk)
                )
            case _:
                asked = {**given, "MessageBody": _text(given["MessageBody"])}
                if "DelaySeconds" in given:
                    asked["DelaySeconds"] = int(cast("float", given["DelaySeconds"]))
                return _plain(
                    await self._ask(service, "send_message", _named(asked, str(given["QueueUrl"]), key), sdk=sdk)
                )

    async def execution_ended(self, arn: str, *, parsed: bool) -> dict[str, Json]:
        """Wait for the end of an execution, and return what `.sync` answers; raise `CallFailed` for one that failed."""
        wait_s, wait_s_max = LOOKED_AGAIN_S
        while True:
            told = await self._ask("states", "describe_execution", {"executionArn": arn})
            if told["status"] != "RUNNING":
                break
            await sleep(wait_s)
            wait_s = min(2 * wait_s, wait_s_max)
        execution = executions.Execution(
            arn=arn,
            name=told["name"],
            machine=told["stateMachineArn"],
            input=told.get("input", "{}"),
            start_ms=_ms(told["startDate"]),
            stop_ms=_ms(told["stopDate"]),
            status=told["status"],
            output=told.get("output"),
            error=told.get("error"),
            cause=told.get("cause"),
        )
        return executions.ended(execution, parsed=parsed)

    def close(self) -> None:
        """Let go of the connections that are open."""
        for client in self._clients.values():
            client.close()

    async def _item(self, action: str, given: Mapping[str, Json], key: str, *, sdk: bool) -> dict[str, Json]:
        asked = _typed(given)
        once = action != "getItem" and (action == "updateItem" or "ConditionExpression" in asked)
        if once and not any(name.startswith("Return") for name in asked):
            # A transaction of one is known by its token: asked for again, it is not carried out again.
            item = {action[:1].upper() + action[1:].removesuffix("Item"): asked}
            token = blake2b(key.encode(), digest_size=16).hexdigest()
            if action != "updateItem" or "UpdateExpression" in asked:
                request = {"TransactItems": [item], "ClientRequestToken": token}
                await self._ask("dynamodb", "transact_write_items", request, sdk=sdk)
                return {}
        operation = {
            "getItem": "get_item",
            "putItem": "put_item",
            "updateItem": "update_item",
            "deleteItem": "delete_item",
        }
        return _plain(await self._ask("dynamodb", operation[action], asked, sdk=sdk))

    async def _put_events(self, given: Mapping[str, Json], key: str, *, sdk: bool) -> dict[str, Json]:
        entries: list[dict[str, Any]] = []
        for each in cast("list[dict[str, Any]]", given["Entries"]):
            entry = {name: value for name, value in each.items() if value is not None}
            if isinstance(entry.get("Detail"), dict):
                entry["Detail"] = json_text(entry["Detail"])
            entry["Resources"] = [*entry.get("Resources", []), key]
            entries.append(entry)
        told = _plain(await self._ask("events", "put_events", {"Entries": entries}, sdk=sdk))
        if not sdk:
            bus.require_none_failed(told)
        return told

    async def _model(self, given: Mapping[str, Json], *, sdk: bool) -> dict[str, Json]:
        asked: dict[str, Any] = {"modelId": given["ModelId"], "body": _text(given["Body"]).encode()}
        asked |= {name[:1].lower() + name[1:]: given[name] for name in ("Accept", "ContentType") if name in given}
        told = await self._ask("bedrock", "invoke_model", asked, sdk=sdk)
        body = await to_thread(told["body"].read)
        return {"Body": msgspec.json.decode(body), "ContentType": told.get("contentType", "application/json")}

    async def _ask(
        self, service: str, operation: str, asked: Mapping[str, Any], *, sdk: bool = False
    ) -> dict[str, Any]:
        """Call an operation in a thread, and return its answer without what is about the call itself."""
        try:
            told: dict[str, Any] = await to_thread(lambda: getattr(self._client(service), operation)(**asked))
        except self._errors.ClientError as error:
            raise _failure(service, error, sdk=sdk) from error
        except self._errors.ParamValidationError as error:
            raise problems.not_started(cast("Json", _plain(asked)), [str(error).partition("\n")[2]]) from error
        except self._errors.BotoCoreError as error:
            prefix = problems.NAMES[service].sdk if sdk else problems.NAMES[service].prefix
            raise problems.CallFailed(f"{prefix}.SdkClientException", str(error)) from error
        told.pop("ResponseMetadata", None)
        return told

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            name = _CLIENTS.get(service, service)
            self._clients[service] = self._session.client(name, endpoint_url=self._endpoint, config=self._options)
        return self._clients[service]


def _failure(service: str, error: Any, *, sdk: bool) -> problems.CallFailed:
    response, about = cast("dict[str, Any]", error.response), cast("dict[str, Any]", error.response["ResponseMetadata"])
    told = cast("dict[str, Any]", response["Error"])
    code, known = str(told["Code"]), type(error).__name__ != "ClientError"
    reasons = cast("list[dict[str, Any]]", response.get("CancellationReasons", []))
    if code == "TransactionCanceledException" and reasons and reasons[0].get("Code") == "ConditionalCheckFailed":
        code, told = "ConditionalCheckFailedException", {"Message": "The conditional request failed"}
    elif code == "TransactionCanceledException" and reasons:
        code, known, told = f"{reasons[0].get('Code')}Exception", False, reasons[0]
    problem = problems.Problem(
        code=code,
        message=str(told.get("Message", "")),
        status=int(about.get("HTTPStatusCode", 400)),
        is_known=known,
        request_id=str(about.get("RequestId", "")),
    )
    return problems.failure(service, problem, sdk=sdk)


def _named(asked: dict[str, Any], to: str, key: str) -> dict[str, Any]:
    """Give a FIFO message a deduplication id where it has none, and the bytes of its attributes."""
    if to.endswith(messages.FIFO) and not asked.get("MessageDeduplicationId"):
        asked["MessageDeduplicationId"] = blake2b(key.encode(), digest_size=32).hexdigest()
    if asked.get("MessageAttributes"):
        asked["MessageAttributes"] = {
            name: {**value, "BinaryValue": base64.b64decode(value["BinaryValue"])} if "BinaryValue" in value else value
            for name, value in asked["MessageAttributes"].items()
        }
    return asked


def _typed(value: Any) -> Any:
    """Return attribute values with bytes where JSON has Base64: boto3 writes them as Base64 again."""
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if set(members) == {"B"} and isinstance(members["B"], str):
            return {"B": base64.b64decode(members["B"])}
        if set(members) == {"BS"}:
            return {"BS": [base64.b64decode(each) for each in members["BS"]]}
        return {name: _typed(each) for name, each in members.items()}
    return [_typed(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Return an answer as JSON has it."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in cast("list[Any]", value)]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json_text(value)


def _ms(moment: datetime) -> int:
    return round((moment - _EPOCH).total_seconds() * 1000)
