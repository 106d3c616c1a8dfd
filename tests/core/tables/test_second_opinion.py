"""moto, which others use for DynamoDB in their tests, beside our tables: the same calls come to the same.

Where they differ, the difference is named here, with the reason for which ours stays as it is.
"""

import re

import boto3.dynamodb.types  # noqa: F401 - compiled once, beside the clock of the first test
import pytest
from botocore.exceptions import ClientError
from moto_server import client
from table_cases import FAILS, HOLDS, ITEM, REFUSED, UPDATES, VALUES

from penstock.core.tables.values import normalised_item

KEY = {"id": {"S": "1"}}
MOTO_DIFFERS = {
    "begins_with(bits, :raw)": "moto compares the Base64 texts, where three bytes do not begin as two",
    "size(n) > :one": "moto asks for the size of a number, and breaks off",
    "words < :five": "moto compares a text with a number, and breaks off",
    "size(absent) > :one": "moto asks for the size of nothing, and breaks off",
}


MOTO_SAYS_OTHERWISE = {
    "incorrect data type": "moto sees the type of an attribute where DynamoDB sees it when it carries the update out",
    "Incorrect operand type for operator or function": "the other way round",
    "attribute name: #n": "moto breaks off with an error of its own",
    "Syntax error": "the same",
}


@pytest.fixture(scope="module")
def table(aws):
    dynamodb = client("dynamodb", aws)
    dynamodb.create_table(
        TableName="opinions",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


def on_the_wire(item):
    """boto3 takes bytes where the wire has Base64."""
    return {**item, "bits": {"B": bytes([0, 1, 2])}}


def request_of(**expressions):
    names = {name for text in expressions.values() for name in re.findall(r":\w+", text)}
    values = {name: VALUES[name] for name in names if name in VALUES}
    values = {name: {"B": bytes([0, 1])} if name == ":raw" else value for name, value in values.items()}
    return expressions | ({"ExpressionAttributeValues": values} if values else {})


def test_conditions_hold_for_both(table):
    table.put_item(TableName="opinions", Item=on_the_wire(ITEM))
    differences = {}
    for condition, expected in [*((each, True) for each in HOLDS), *((each, False) for each in FAILS)]:
        try:
            table.put_item(TableName="opinions", Item=on_the_wire(ITEM), **request_of(ConditionExpression=condition))
            holds = True
        except ClientError as error:
            holds = False if "ConditionalCheckFailed" in str(error) else str(error)
        if holds is not expected:
            differences[condition] = holds
    assert differences.keys() == MOTO_DIFFERS.keys(), differences


def test_updates_come_to_the_same(table):
    differences = {}
    for expression, changed in UPDATES:
        table.put_item(TableName="opinions", Item=on_the_wire(ITEM))
        request = request_of(UpdateExpression=expression)
        found = table.update_item(TableName="opinions", Key=KEY, ReturnValues="ALL_NEW", **request)["Attributes"]
        expected = {name: value for name, value in (ITEM | changed).items() if value is not None}
        if normalised_item({**found, "bits": ITEM["bits"]}) != normalised_item(expected):
            differences[expression] = found
    assert not differences


def test_both_refuse_the_same(table):
    table.put_item(TableName="opinions", Item=on_the_wire(ITEM))
    taken = []
    for given, words in REFUSED:
        request = request_of(**{name: text for name, text in given.items() if isinstance(text, str)})
        if given.get("unused"):
            request["ExpressionAttributeValues"] = {":one": {"N": "1"}, ":five": {"N": "5"}}
        try:
            table.update_item(TableName="opinions", Key=KEY, **request)
        except ClientError as error:
            if words not in str(error) and words not in MOTO_SAYS_OTHERWISE:
                taken.append((words, str(error)))
        else:
            taken.append((words, "no refusal"))
    assert not taken
