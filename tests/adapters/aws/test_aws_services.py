"""Machines whose tasks are carried out by who speaks AWS's protocol: moto's server, asked by boto3."""

import json
from typing import Any

import pytest
from moto_server import ENVIRONMENT, client

from penstock import App
from penstock.adapters.aws.services import open_aws
from penstock.core.asl.services.problems import CallFailed
from penstock.errors import Invalid, RunFailed

ARN = "arn:aws:states:::"


@pytest.fixture
def address(aws, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return aws


def task(action: str, **parameters: Any) -> dict:
    return {"Type": "Task", "Resource": f"{ARN}{action}", "Parameters": parameters, "End": True}


async def led(address: str, state: dict, input: Any = None) -> Any:
    app = App("remote")
    flow = app.workflow("flow", definition={"StartAt": "Do", "States": {"Do": state}})
    async with app.running(store="memory:", services=f"aws:{address}") as live:
        try:
            return await live.result(await live.start("flow", flow.input(input)))
        except RunFailed as error:
            return error.reason


async def test_a_message_lies_in_the_queue_once_and_is_answered_by_the_service(address):
    sqs = client("sqs", address)
    url = sqs.create_queue(QueueName="remote.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    attributes = {"raw": {"DataType": "Binary", "BinaryValue": "AAE="}, "n": {"DataType": "Number", "StringValue": "3"}}
    given = {"QueueUrl": url, "MessageBody": {"a": 1}, "MessageGroupId": "g", "MessageAttributes": attributes}
    output = await led(address, task("sqs:sendMessage", **given))
    assert output["SdkHttpMetadata"] == {"HttpStatusCode": 200}
    assert output["MD5OfMessageBody"] == "bb6cb5c68df4652941caf652a366f2d8"
    with open_aws(address) as remote:
        for _ in range(2):
            await remote.carried_out("sqs:sendMessage", given, "one key")
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    assert [each["Body"] for each in found] == ['{"a":1}'] * 2
    assert found[0]["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\x01"


async def test_an_update_of_an_item_is_named_by_the_task_so_that_dynamodb_knows_it_again(address):
    tokens = []
    dynamodb = client("dynamodb", address)
    dynamodb.create_table(
        TableName="remote",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    key = {"TableName": "remote", "Key": {"id": {"S": "1"}}}
    put = {"TableName": "remote", "Item": {"id": {"S": "1"}, "n": {"N": "1"}, "raw": {"B": "AAE="}}}
    await led(address, task("dynamodb:putItem", **put))
    add = {**key, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    with open_aws(address) as remote:
        remote._client("dynamodb").meta.events.register(
            "before-parameter-build.dynamodb.TransactWriteItems",
            lambda params, **_: tokens.append(params["ClientRequestToken"]),
        )
        for each in ("one key", "one key", "another key"):
            await remote.carried_out("dynamodb:updateItem", add, each)
    assert tokens[0] == tokens[1] != tokens[2]  # moto itself passes over them
    output = await led(address, task("dynamodb:getItem", **key))
    assert output["Item"] == {"id": {"S": "1"}, "n": {"N": "4"}, "raw": {"B": "AAE="}}
    never = {**put, "ConditionExpression": "attribute_not_exists(id)"}
    output = await led(address, task("dynamodb:putItem", **never))
    assert output.startswith(
        "DynamoDB.ConditionalCheckFailedException: The conditional request failed (Service: AmazonDynamoDBv2;"
    )


async def test_a_publication_and_events_reach_their_services(address):
    topic = client("sns", address).create_topic(Name="remote")["TopicArn"]
    assert len((await led(address, task("sns:publish", TopicArn=topic, Message={"a": 1})))["MessageId"]) == 36
    entries = [{"Source": "shop", "DetailType": "t", "Detail": {"a": 1}}]
    assert (await led(address, task("events:putEvents", Entries=entries)))["FailedEntryCount"] == 0
    output = await led(address, task("events:putEvents", Entries=[{**entries[0], "Detail": '"text'}]))
    assert output.startswith("EventBridge.FailedEntry: ")
    assert json.loads(output.partition(": ")[2])["Entries"][0]["ErrorCode"] == "MalformedDetail"


async def test_an_execution_is_started_once_under_a_name_of_the_task(address):
    states = client("stepfunctions", address)
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    role = "arn:aws:iam::123456789012:role/r"
    arn = states.create_state_machine(name="remote", definition=definition, roleArn=role)["stateMachineArn"]
    with open_aws(address) as remote:
        first = await remote.carried_out("states:startExecution", {"StateMachineArn": arn, "Input": {}}, "one key")
    assert first["ExecutionArn"].rpartition(":")[0] == f"{arn.replace('stateMachine', 'execution')}"
    assert len(states.list_executions(stateMachineArn=arn)["executions"]) == 1


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (
            task("sqs:sendMessage", QueueUrl="http://127.0.0.1:1/1/nobody", MessageBody="x"),
            "SQS.QueueDoesNotExistException",
        ),
        (
            task("sns:publish", TopicArn="arn:aws:sns:us-east-1:123456789012:nobody", Message="x"),
            "SNS.NotFoundException",
        ),
        (task("dynamodb:getItem", TableName="nobody", Key={"id": {"S": "1"}}), "DynamoDB.ResourceNotFoundException"),
        (
            task("aws-sdk:dynamodb:getItem", TableName="nobody", Key={"id": {"S": "1"}}),
            "DynamoDb.ResourceNotFoundException",
        ),
        (task("sqs:sendMessage", MessageBody="x"), "States.Runtime"),
    ],
)
async def test_what_a_service_refuses_fails_the_task_by_awss_name(address, state, error):
    assert (await led(address, state)).startswith(f"{error}: ")


async def test_a_service_that_does_not_answer_is_an_error_that_can_be_tried_again(address):
    with open_aws("http://127.0.0.1:1") as nobody, pytest.raises(CallFailed) as failed:
        await nobody.carried_out("sqs:sendMessage", {"QueueUrl": "q", "MessageBody": "x"}, "key")
    assert failed.value.error == "SQS.SdkClientException"


@pytest.mark.parametrize(
    ("services", "words"),
    [("gcp", "'gcp' is not known"), ("aws:somewhere", "is not known"), ("ecs=aws", "'ecs' is no service")],
)
async def test_a_setting_that_names_nobody_is_refused(services, words):
    with pytest.raises(Invalid, match=words):
        async with App("x").running(store="memory:", services=services):
            pass
