"""What Tasks call, on penstock's own parts: one machine for each integration, its durable effects counted, crashes included."""

import hashlib
import json
from typing import Any

import pytest

from penstock import App, Context, Event, Message, testing
from penstock.errors import Invalid, RunFailed
from penstock.testing.scripted_model import ScriptedModel

ARN = "arn:aws:states:::"


class OrderPlaced(Event, topic="orders", key="id"):
    id: str
    total: int


class Mail(Message, topic="mails"):
    pass


class Billed(Event):
    id: str


def machine(**states: dict) -> dict:
    names = list(states)
    for name, after in zip(names, [*names[1:], None], strict=True):
        states[name].setdefault(*(("End", True) if after is None else ("Next", after)))
    return {"StartAt": names[0], "States": states}


def task(action: str, **parameters: Any) -> dict:
    return {"Type": "Task", "Resource": f"{ARN}{action}", "Parameters": parameters}


def shop(definition: dict, seen: list) -> App:
    app = App("shop")

    @app.agent
    async def bill(order: OrderPlaced) -> Billed:
        seen.append(("bill", order.id, order.total))
        return Billed(id=order.id)

    @app.agent
    async def post(mail: Mail, ctx: Context) -> None:
        seen.append(("post", mail.body, mail.group, mail.subject, mail.attributes, ctx.key))

    app.table("stock", key="sku")
    app.workflow("flow", definition=definition)
    return app


async def led(app: App, input: Any = None, disk: testing.Disk | None = None) -> Any:
    async with testing.app(app, disk=disk) as live:
        run = await live.start("flow", app.agents["flow"].accepts[0](input=input), id="begin")
        try:
            output = await live.result(run, within_s=1e9)
        except RunFailed as error:
            output = error.reason
        await live.settled()
        return output


SEND = task("sqs:sendMessage", QueueUrl="https://sqs.us-east-1.amazonaws.com/1/orders", **{"MessageBody.$": "$"})


async def test_a_message_to_a_queue_becomes_an_event_of_the_topic_of_that_name():
    seen = []
    output = await led(shop(machine(Send=SEND), seen), {"id": "7", "total": 20})
    assert seen == [("bill", "7", 20)]
    assert output["MD5OfMessageBody"] == hashlib.md5(b'{"id":"7","total":20}').hexdigest()
    assert output["SdkHttpMetadata"] == {"HttpStatusCode": 200}


async def test_a_message_of_any_text_reaches_who_takes_messages_with_its_group_as_key():
    seen = []
    attributes = {"kind": {"DataType": "String", "StringValue": "note"}}
    send = task(
        "sqs:sendMessage",
        QueueUrl="mails.fifo",
        MessageBody="not JSON",
        MessageGroupId="ada",
        MessageAttributes=attributes,
    )
    output = await led(shop(machine(Send=send), seen))
    assert seen == [("post", "not JSON", "ada", "", {"kind": "note"}, "ada")]
    assert len(output["MD5OfMessageAttributes"]) == 32


async def test_a_deduplication_id_makes_one_message_of_several():
    seen = []
    send = task(
        "sqs:sendMessage", QueueUrl="mails.fifo", MessageBody="hi", MessageGroupId="ada", MessageDeduplicationId="d"
    )
    first = await led(shop(machine(One=dict(send, ResultPath="$.one"), Two=dict(send, ResultPath="$.two")), seen), {})
    assert len(seen) == 1
    assert first["one"]["MessageId"] == first["two"]["MessageId"]


async def test_a_message_may_wait():
    seen = []
    app = shop(machine(Send=task("sqs:sendMessage", QueueUrl="mails", MessageBody="later", DelaySeconds=60)), seen)
    async with testing.app(app) as live:
        await live.result(await live.start("flow", app.agents["flow"].accepts[0](input=None)), within_s=1)
        assert seen == []
        await live.clock.sleep(61)
        await live.settled()
    assert [each[1] for each in seen] == ["later"]


async def test_a_publication_reaches_the_topic_with_its_subject():
    seen = []
    publish = task("sns:publish", TopicArn="arn:aws:sns:us-east-1:1:mails", Message={"a": 1}, Subject="News")
    output = await led(shop(machine(Publish=publish), seen))
    assert seen[0][:4] == ("post", '{"a":1}', "", "News")
    assert "MessageId" in output


@pytest.mark.parametrize(
    ("send", "error"),
    [
        (task("sqs:sendMessage", QueueUrl="nobody", MessageBody="x"), "SQS.QueueDoesNotExistException"),
        (task("sqs:sendMessage", QueueUrl="penstock-runs", MessageBody="x"), "SQS.QueueDoesNotExistException"),
        (task("sqs:sendMessage", QueueUrl="orders", MessageBody={"id": 1}), "SQS.InvalidMessageContentsException"),
        (task("sns:publish", TopicArn="nobody", Message="x"), "SNS.NotFoundException"),
        (task("sqs:sendMessage", QueueUrl="orders"), "States.Runtime"),
        (task("aws-sdk:sqs:sendMessage", QueueUrl="nobody", MessageBody="x"), "Sqs.QueueDoesNotExistException"),
    ],
)
async def test_what_cannot_be_sent_fails_the_task_with_awss_error(send, error):
    seen = []
    output = await led(shop(machine(Send=send), seen))
    assert output.startswith(f"{error}: ")
    assert seen == []


STOCK = {
    "Put": task("dynamodb:putItem", TableName="stock", Item={"sku": {"S": "a"}, "left": {"N": "3"}})
    | {"ResultPath": None},
    "Take": task(
        "dynamodb:updateItem",
        TableName="stock",
        Key={"sku": {"S": "a"}},
        UpdateExpression="SET #left = #left - :one",
        ConditionExpression="#left >= :one",
        ExpressionAttributeNames={"#left": "left"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    | {"ResultPath": None},
    "Get": task("dynamodb:getItem", TableName="stock", Key={"sku": {"S": "a"}}),
}


def stock() -> dict:
    return json.loads(json.dumps(STOCK))


async def test_a_table_is_written_read_and_kept_over_a_restart():
    disk, states = testing.Disk(), stock()
    assert (await led(shop(machine(**states), []), disk=disk))["Item"] == {"sku": {"S": "a"}, "left": {"N": "2"}}
    app = shop(machine(Get=stock()["Get"]), [])
    async with testing.app(app, disk=disk) as live:
        run = await live.start("flow", app.agents["flow"].accepts[0](input=None), id="again")
        assert (await live.result(run))["Item"]["left"] == {"N": "2"}


@pytest.mark.parametrize("point", ["before effect", "after effect", "before commit", "after commit"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5, 6])
async def test_an_update_counts_once_whatever_dies(point, nth):
    disk = testing.Disk()
    app = shop(machine(**stock()), [])
    event = app.agents["flow"].accepts[0](input=None)
    try:
        async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
            await live.result(await live.start("flow", event, id="begin"), within_s=1e9)
    except testing.NotReached:
        assert nth > 3
    async with testing.app(app, disk=disk) as live:
        run = await live.start("flow", event, id="begin")
        assert (await live.result(run))["Item"]["left"] == {"N": "2"}


@pytest.mark.parametrize("point", ["before effect", "after effect", "before commit", "after commit"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
async def test_a_message_is_sent_once_whatever_dies(point, nth):
    disk, seen = testing.Disk(), []
    app = shop(machine(Send=json.loads(json.dumps(SEND))), seen)
    event = app.agents["flow"].accepts[0](input={"id": "7", "total": 20})
    try:
        async with testing.app(app, disk=disk) as live, live.crash_at(point, nth):
            await live.result(await live.start("flow", event, id="begin"), within_s=1e9)
    except testing.NotReached:
        assert nth > 1
    async with testing.app(app, disk=disk) as live:
        await live.result(await live.start("flow", event, id="begin"))
        await live.settled()
        assert len(await live.events(OrderPlaced)) == 1
        assert len(await live.events(Billed)) == 1


async def test_a_condition_that_does_not_hold_can_be_caught():
    states = stock()
    states["Take"]["ExpressionAttributeValues"] = None
    take = states["Take"]
    take["Parameters"]["ExpressionAttributeValues"] = {":one": {"N": "9"}}
    del take["ExpressionAttributeValues"]
    take["Catch"] = [
        {"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "Next": "Get", "ResultPath": "$.failed"}
    ]
    del states["Get"]["Resource"]
    states["Get"] = {"Type": "Pass"}
    output = await led(shop(machine(**states), []), {})
    assert output["failed"]["Error"] == "DynamoDB.ConditionalCheckFailedException"
    assert "The conditional request failed (Service: AmazonDynamoDBv2; Status Code: 400;" in output["failed"]["Cause"]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"TableName": "none", "Key": {"sku": {"S": "a"}}}, "DynamoDB.ResourceNotFoundException"),
        ({"TableName": "stock", "Key": {"id": {"S": "a"}}}, "DynamoDB.AmazonDynamoDBException"),
        ({"TableName": "stock"}, "States.Runtime"),
    ],
)
async def test_a_call_of_a_table_that_makes_no_sense_fails_the_task(request_, error):
    output = await led(shop(machine(Get=task("dynamodb:getItem", **request_)), []))
    assert output.startswith(f"{error}: ")


async def test_items_of_other_tenants_are_other_items():
    app = shop(machine(**stock()), [])
    get = shop(machine(Get=stock()["Get"]), [])
    disk = testing.Disk()
    async with testing.app(app, disk=disk) as live:
        await live.result(
            await live.start("flow", app.agents["flow"].accepts[0](input=None), tenant="ada"), tenant="ada"
        )
    async with testing.app(get, disk=disk) as live:
        mine = await live.start("flow", get.agents["flow"].accepts[0](input=None), tenant="ada", id="1")
        others = await live.start("flow", get.agents["flow"].accepts[0](input=None), id="2")
        assert (await live.result(mine, tenant="ada"))["Item"]["left"] == {"N": "2"}
        assert "Item" not in await live.result(others)


async def test_a_model_is_asked_in_the_form_of_its_family():
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    model = "anthropic.claude-3-haiku-20240307-v1:0"
    app = shop(machine(Ask=task("bedrock:invokeModel", ModelId=model, Body=body)), [])
    scripted = ScriptedModel(["Hello"])
    app.model(model, scripted)
    async with testing.app(app, models={model: scripted}) as live:
        output = await live.result(await live.start("flow", app.agents["flow"].accepts[0](input=None)))
    assert output["Body"]["content"] == [{"type": "text", "text": "Hello"}]
    assert output["ContentType"] == "application/json"


async def test_a_body_that_is_no_question_fails_the_task():
    output = await led(shop(machine(Ask=task("bedrock:invokeModel", ModelId="anthropic.x", Body={})), []))
    assert output.startswith(
        "Bedrock.ValidationException: Malformed input request: #: required key [messages] not found"
    )


def parent_and_child(resource: str, child: dict, **parameters: Any) -> App:
    start = task(resource, StateMachineArn="arn:aws:states:us-east-1:1:stateMachine:child", **parameters)
    app = shop(machine(Start=start), [])
    app.workflow("child", definition=child)
    return app


DOUBLE = machine(Double={"Type": "Pass", "Parameters": {"twice.$": "States.MathAdd($.n, $.n)"}})


async def test_a_machine_starts_another_and_goes_on():
    output = await led(parent_and_child("states:startExecution", DOUBLE, Input={"n": 2}, Name="one"))
    assert output["ExecutionArn"].endswith(":execution:child:one")
    assert output["StartDate"].endswith("Z")


@pytest.mark.parametrize(("version", "output"), [("", '{"twice":4}'), (":2", {"twice": 4})])
async def test_a_machine_waits_for_another(version, output):
    answer = await led(parent_and_child(f"states:startExecution.sync{version}", DOUBLE, Input={"n": 2}, Name="one"))
    assert (answer["Output"], answer["Name"], answer["Status"]) == (output, "one", "SUCCEEDED")
    assert answer["Input"] == ({"n": 2} if version else '{"n":2}')


async def test_a_machine_whose_child_fails_fails_with_what_the_child_told():
    child = machine(Stop={"Type": "Fail", "Error": "NoStock", "Cause": "all: sold"})
    del child["States"]["Stop"]["End"]
    output = await led(parent_and_child("states:startExecution.sync:2", child))
    assert output.startswith("States.TaskFailed: {")
    told = json.loads(output.partition(": ")[2])
    assert (told["Error"], told["Cause"], told["Status"]) == ("NoStock", "all: sold", "FAILED")


async def test_a_name_makes_one_execution_and_another_input_is_refused():
    start = task("states:startExecution", StateMachineArn="child", Name="one", **{"Input.$": "$.first"}) | {
        "ResultPath": "$.one"
    }
    other = task("states:startExecution", StateMachineArn="child", Name="one", **{"Input.$": "$.second"})
    app = shop(machine(One=start, Same=dict(start, ResultPath="$.same"), Other=other), [])
    app.workflow("child", definition=DOUBLE)
    async with testing.app(app) as live:
        run = await live.start("flow", app.agents["flow"].accepts[0](input={"first": {"n": 1}, "second": {"n": 2}}))
        with pytest.raises(
            RunFailed, match=r"StepFunctions\.ExecutionAlreadyExistsException: Execution Already Exists"
        ):
            await live.result(run)
        await live.settled()
        assert len(await live.runs("child")) == 1


@pytest.mark.parametrize("nth", [1, 2, 3, 4, 5])
async def test_a_child_runs_once_whatever_dies(nth):
    disk = testing.Disk()
    app = parent_and_child("states:startExecution.sync:2", DOUBLE, Input={"n": 2})
    event = app.agents["flow"].accepts[0](input=None)
    try:
        async with testing.app(app, disk=disk) as live, live.crash_at("after commit", nth):
            await live.result(await live.start("flow", event, id="begin"), within_s=1e9)
    except testing.NotReached:
        assert nth > 3
    async with testing.app(app, disk=disk) as live:
        assert (await live.result(await live.start("flow", event, id="begin")))["Output"] == {"twice": 4}
        assert len(await live.runs("child")) == 1


async def test_a_child_that_is_waited_for_no_longer_is_stopped():
    child = machine(Rest={"Type": "Wait", "Seconds": 100_000})
    app = parent_and_child("states:startExecution.sync:2", child, Input={"n": 2}, Name="one")
    app.agents.pop("flow")
    start = task("states:startExecution.sync:2", StateMachineArn="child", Name="one") | {"TimeoutSeconds": 60}
    app.workflow("flow", definition=machine(Start=start))
    async with testing.app(app) as live:
        with pytest.raises(RunFailed, match=r"States\.Timeout"):
            await live.result(await live.start("flow", app.agents["flow"].accepts[0](input=None)), within_s=1e9)

        async def ended() -> list[str]:
            return [run.reason for run in await live.runs("child") if run.status == "cancelled"]

        (reason,) = await live.engine.services.committer.until(ended)
        assert "waits for it no longer" in reason


async def test_machines_that_start_each_other_end_after_so_many_hops():
    start = task("states:startExecution.sync:2", StateMachineArn="flow")
    app = shop(machine(Again=start), [])
    disk = testing.Disk()
    output = await led(app, disk=disk)
    assert output.startswith("States.TaskFailed")
    async with testing.app(app, disk=disk) as live:
        runs = await live.runs("flow")
        assert len(runs) == 65
        assert any(
            "the number of hops since the first event is 65, at most 64 is allowed" in run.reason for run in runs
        )


async def test_a_service_that_nobody_is_here_is_refused_when_the_app_starts():
    with pytest.raises(Invalid, match="nothing here does what arn:aws:states:::ecs:runTask names"):
        await led(shop(machine(Run=task("ecs:runTask")), []))
