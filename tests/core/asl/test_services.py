"""What services are given, checked; what they answer and how they refuse, in AWS's words."""

import json

import pytest

from penstock.core.asl.services import bus, messages, parameters
from penstock.core.asl.services.problems import CallFailed, Problem, failure

SQS = messages.Refusals("sqs", "r-1")
SNS = messages.Refusals("sns", "r-1")


def sqs(**fields):
    return messages.sent_message(parameters.checked("sqs:sendMessage", fields), SQS)


def sns(**fields):
    return messages.published_message(parameters.checked("sns:publish", fields), SNS)


def put(*entries):
    read = bus.entries_of(list(entries))
    return bus.put(read, [f"e-{number}" for number, _ in enumerate(read)])


# parameters


def test_all_that_is_wrong_with_parameters_is_said_at_once():
    with pytest.raises(CallFailed) as failed:
        parameters.checked("sqs:sendMessage", {"QueueURL": "q", "MessageBody": "x", "DelaySeconds": []})
    assert failed.value.error == "States.Runtime"
    assert failed.value.cause == (
        'The Parameters \'{"QueueURL":"q","MessageBody":"x","DelaySeconds":[]}\' could not be used to start the Task: '
        "[The field 'QueueURL' is not supported by Step Functions, The field 'QueueUrl' is required but was missing, "
        "The value of the field 'DelaySeconds' has an invalid format]"
    )


@pytest.mark.parametrize("call", parameters.known_actions())
def test_nothing_at_all_is_no_call(call):
    with pytest.raises(CallFailed, match="could not be used to start the Task"):
        parameters.checked(call, {})
    with pytest.raises(CallFailed, match="must be an object"):
        parameters.checked(call, "text")


def test_services_are_known_by_the_names_that_both_sdks_give_them():
    assert parameters.action_of("sfn", "startExecution") == "states:startExecution"
    assert parameters.action_of("eventbridge", "putEvents") == "events:putEvents"
    assert parameters.action_of("bedrockruntime", "invokeModel") == "bedrock:invokeModel"
    assert parameters.action_of("sqs", "receiveMessage") is None


# failing


def test_a_refusal_is_named_as_the_integration_or_the_sdk_names_it():
    conditional = Problem(
        code="ConditionalCheckFailedException", message="The conditional request failed", request_id="R"
    )
    other = Problem(code="ValidationException", message="No.", is_known=False, request_id="R")
    assert str(failure("dynamodb", conditional)) == (
        "DynamoDB.ConditionalCheckFailedException: The conditional request failed (Service: AmazonDynamoDBv2; "
        "Status Code: 400; Error Code: ConditionalCheckFailedException; Request ID: R; Proxy: null)"
    )
    assert str(failure("dynamodb", conditional, sdk=True)) == (
        "DynamoDb.ConditionalCheckFailedException: The conditional request failed "
        "(Service: DynamoDb, Status Code: 400, Request ID: R)"
    )
    assert failure("dynamodb", other).error == "DynamoDB.AmazonDynamoDBException"
    assert failure("dynamodb", other, sdk=True).error == "DynamoDb.DynamoDbException"
    assert failure("bedrock", other).error == "Bedrock.BedrockRuntimeException"


# putEvents


def test_entries_that_cannot_become_events_say_why_and_the_others_become_events():
    good = {"Source": "some.source", "DetailType": "t", "Detail": {"Message": "Hello"}}
    answer = put(good, {**good, "Detail": '"text"'}, {"DetailType": "t", "Detail": {}}, {**good, "Source": "aws.s3"})
    assert answer == {
        "Entries": [
            {"EventId": "e-0"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."},
            {
                "ErrorCode": "InvalidArgument",
                "ErrorMessage": "Parameter Source is not valid. Reason: Source is a required argument.",
            },
            {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."},
        ],
        "FailedEntryCount": 3,
    }
    with pytest.raises(CallFailed) as failed:
        bus.require_none_failed(answer)
    assert (failed.value.error, json.loads(failed.value.cause)) == ("EventBridge.FailedEntry", answer)


@pytest.mark.parametrize(
    "entry",
    [
        {"Source": 1},
        {"DetailType": ["t"]},
        {"Time": "yesterday"},
        {"Resources": "arn"},
        {"Detail": "{"},
        {"Detail": None},
        {"Extra": 1},
    ],
)
def test_an_entry_with_something_wrong_is_refused_by_itself(entry):
    answer = put({"Source": "s", "DetailType": "t", "Detail": {}, **entry})
    assert answer["FailedEntryCount"] == 1


def test_an_entry_keeps_its_bus_time_and_resources():
    arn = "arn:aws:events:us-east-1:111111111111:event-bus/orders"
    given = {
        "Source": "s",
        "DetailType": "t",
        "Detail": '{"a":1}',
        "EventBusName": arn,
        "Time": 12.5,
        "Resources": ["r"],
    }
    (entry,) = bus.entries_of([given], adding=("run",))
    assert entry == bus.Entry(
        source="s", detail_type="t", detail='{"a":1}', bus="orders", resources=("r", "run"), time_ms=12_500
    )
    document = bus.document_of(entry, id="e", time="2026-01-01T00:00:00Z")
    assert (document["detail"], document["detail-type"], document["resources"]) == ({"a": 1}, "t", ["r", "run"])


@pytest.mark.parametrize("entries", [[], [{}] * 11, "none", [{"Detail": "x" * bus.ENTRIES_BYTES_MAX}]])
def test_what_is_no_list_of_entries_is_refused_as_a_whole(entries):
    with pytest.raises(CallFailed, match=r"EventBridge\.AmazonCloudWatchEventsException"):
        bus.entries_of(entries)


# messages


def test_a_message_is_known_by_its_queue_and_answered_with_digests():
    attributes = {
        "count": {"DataType": "Number", "StringValue": "3"},
        "raw": {"DataType": "Binary", "BinaryValue": "AAE="},
    }
    sending = sqs(
        QueueUrl="https://sqs.eu-west-1.amazonaws.com/1/orders", MessageBody={"a": 1}, MessageAttributes=attributes
    )
    assert (sending.to, sending.body) == ("orders", '{"a":1}')
    assert messages.plain_attributes(sending.attributes) == {"count": 3, "raw": "AAE="}
    answer = messages.sent_answer(sending, "key")
    assert answer["MD5OfMessageBody"] == "bb6cb5c68df4652941caf652a366f2d8"
    assert answer == messages.sent_answer(sending, "key")
    assert answer["MessageId"] != messages.sent_answer(sending, "other")["MessageId"]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"MessageBody": ""}, "SQS.AmazonSQSException", "must contain the parameter MessageBody"),
        ({"MessageBody": "x" * (messages.MESSAGE_BYTES_MAX + 1)}, "SQS.AmazonSQSException", "Message must be shorter"),
        ({"DelaySeconds": 901}, "SQS.AmazonSQSException", "DelaySeconds must be >= 0 and <= 900"),
        ({"QueueUrl": "q.fifo"}, "SQS.AmazonSQSException", "must contain the parameter MessageGroupId"),
        ({"QueueUrl": "q.fifo", "MessageGroupId": "a b"}, "SQS.AmazonSQSException", "MessageGroupId can only include"),
        (
            {"MessageAttributes": {"a": {"DataType": "Text"}}},
            "SQS.AmazonSQSException",
            "invalid message attribute type",
        ),
        (
            {"MessageAttributes": {"a": {"DataType": "String"}}},
            "SQS.AmazonSQSException",
            "non-empty message attribute value",
        ),
    ],
)
def test_sqs_refuses_in_its_own_words(fields, error, words):
    with pytest.raises(CallFailed) as failed:
        sqs(**{"QueueUrl": "q", "MessageBody": "x", **fields})
    assert failed.value.error == error
    assert words in failed.value.cause
    assert "Request ID: r-1" in failed.value.cause


def test_a_message_to_nobody_is_refused():
    assert messages.no_such_queue(SQS).error == "SQS.QueueDoesNotExistException"
    assert messages.no_such_queue(SNS).error == "SNS.NotFoundException"
    assert "Status Code: 404" in messages.no_such_queue(SNS).cause


def test_sns_takes_the_default_of_a_message_for_each_protocol():
    sending = sns(
        TopicArn="arn:aws:sns:us-east-1:1:news", Message={"default": "hello", "sms": "hi"}, MessageStructure="json"
    )
    assert (sending.to, sending.body) == ("news", "hello")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"Message": ""}, "Empty message"),
        ({"Message": {"sms": "hi"}, "MessageStructure": "json"}, "No default entry in JSON message body"),
        ({"Message": "no", "MessageStructure": "json"}, "JSON message body failed to parse"),
        ({"Subject": "x" * 101}, "Invalid parameter: Subject"),
        ({"TopicArn": "arn:aws:sns:us-east-1:1:news.fifo"}, "MessageGroupId parameter is required"),
    ],
)
def test_sns_refuses_in_its_own_words(fields, words):
    with pytest.raises(CallFailed) as failed:
        sns(**{"TopicArn": "arn:aws:sns:us-east-1:1:news", "Message": "x", **fields})
    assert failed.value.error == "SNS.InvalidParameterException"
    assert words in failed.value.cause
