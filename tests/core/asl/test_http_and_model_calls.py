"""`http:invoke` and `bedrock:invokeModel`: what is asked outside, and what the machine gets of the answer."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from penstock.core.asl.services import parameters
from penstock.core.asl.services.http_calls import (
    ANSWER_BYTES_MAX,
    Connection,
    HttpResponse,
    connection_name,
    http_answer,
    http_request,
)
from penstock.core.asl.services.model_calls import Answer, NoQuestion, answer_of, question_of
from penstock.core.asl.services.problems import CallFailed

ARN = "arn:aws:events:us-east-1:1:connection/shop/0c5f"


def request(connection=None, **fields):
    given = {"ApiEndpoint": "https://shop.example/orders", "Method": "POST", "Authentication": {"ConnectionArn": ARN}}
    return http_request(parameters.checked("http:invoke", {**given, **fields}), connection or Connection(), "run/1")


def answered(status, reason, sent, body):
    return http_answer(HttpResponse(status, reason, tuple(sent), body))


def headers(made):
    return dict(made.headers)


def test_a_request_carries_its_body_headers_and_key():
    made = request(
        Headers={"X-Shop": ["a", "b"]},
        RequestBody={"total": 1},
        QueryParameters={"q": "x y", "tag": [1, 2], "no": None},
    )
    assert (made.method, made.body) == ("POST", b'{"total":1}')
    assert parse_qsl(urlsplit(made.url).query) == [("q", "x y"), ("tag", "1"), ("tag", "2")]
    assert [value for name, value in made.headers if name == "X-Shop"] == ["a", "b"]
    assert headers(made)["Content-Type"] == "application/json"
    assert headers(made)["Idempotency-Key"] == "run/1"


def test_what_a_connection_says_wins_over_the_call():
    connection = Connection({"X-Key": "secret"}, {"token": "t"}, {"client": "c"})
    made = request(
        connection, Headers={"x-key": "mine"}, QueryParameters={"token": "mine"}, RequestBody={"client": "mine", "a": 1}
    )
    assert [value for name, value in made.headers if name.lower() == "x-key"] == ["secret"]
    assert parse_qsl(urlsplit(made.url).query) == [("token", "t")]
    assert json.loads(made.body) == {"client": "c", "a": 1}


@pytest.mark.parametrize(
    ("array_format", "form"),
    [
        ("INDICES", "a%5B0%5D=1&a%5B1%5D=2&b%5Bc%5D=x"),
        ("REPEAT", "a=1&a=2&b%5Bc%5D=x"),
        ("COMMAS", "a=1%2C2&b%5Bc%5D=x"),
        ("BRACKETS", "a%5B%5D=1&a%5B%5D=2&b%5Bc%5D=x"),
    ],
)
def test_a_form_is_written_in_each_of_the_four_ways(array_format, form):
    transform = {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": {"ArrayFormat": array_format}}
    made = request(RequestBody={"a": [1, 2], "b": {"c": "x"}}, Transform=transform)
    assert made.body.decode() == form
    assert headers(made)["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ApiEndpoint": "ftp://x"}, "'ApiEndpoint' has an invalid format"),
        ({"Method": "TRACE"}, "'Method' has an invalid format"),
        ({"Headers": {"Authorization": "x"}}, "The header 'Authorization' is not allowed"),
        ({"Headers": {"X-Amz-Date": "x"}}, "The header 'X-Amz-Date' is not allowed"),
        ({"Headers": {"X-A": "x\r\nHost: y"}}, "The header 'X-A' has a line break"),
        ({"Authentication": {}}, "'ConnectionArn' is required but was missing"),
        ({"Transform": {"RequestBodyEncoding": "ZIP"}}, "'RequestBodyEncoding' has an invalid format"),
    ],
)
def test_a_request_that_may_not_be_made_is_not_made(fields, words):
    with pytest.raises(CallFailed) as failed:
        request(**fields)
    assert failed.value.error == "States.Runtime"
    assert words in failed.value.cause


def test_a_connection_is_named_by_its_arn_or_its_name():
    assert connection_name({"Authentication": {"ConnectionArn": ARN}}) == "shop"
    assert connection_name({"InvocationConfig": {"ConnectionArn": "shop"}}) == "shop"


def test_an_answer_has_the_shape_of_aws():
    answer = answered(
        201, "Created", [("Content-Type", "application/json; charset=utf-8"), ("X", "1"), ("X", "2")], b'{"id":7}'
    )
    assert answer == {
        "Headers": {"content-type": ["application/json; charset=utf-8"], "x": ["1", "2"]},
        "ResponseBody": {"id": 7},
        "StatusCode": 201,
        "StatusText": "Created",
    }
    assert answered(200, "", [], b"plain")["ResponseBody"] == "plain"


@pytest.mark.parametrize(
    ("status", "reason", "kind", "body", "error", "cause"),
    [
        (404, "", "text/plain", b"no", "States.Http.StatusCode.404", "Not Found"),
        (503, "Busy", "text/plain", b"", "States.Http.StatusCode.503", "Busy"),
        (200, "", "image/png", b"x", "States.Runtime", "The HTTP response has the content type image/png, which is no text"),
        (200, "", "text/plain", b"\xff", "States.Runtime", "The HTTP response is no UTF-8 text"),
        (200, "", "text/plain", b"x" * (ANSWER_BYTES_MAX + 1), "States.DataLimitExceeded", "The state/task 'http' returned a result with a size exceeding the maximum number of bytes service limit."),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_fails_the_task(status, reason, kind, body, error, cause):
    with pytest.raises(CallFailed) as failed:
        answered(status, reason, [("content-type", kind)], body)
    assert (failed.value.error, failed.value.cause) == (error, cause)


BODIES = {
    "anthropic": (
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "system": "Be brief.", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        lambda body: (body["content"][0]["text"], body["usage"]["output_tokens"]),
    ),
    "nova": (
        "us.amazon.nova-lite-v1:0",
        {"system": [{"text": "Be brief."}], "messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"maxTokens": 50}},
        lambda body: (body["output"]["message"]["content"][0]["text"], body["usage"]["outputTokens"]),
    ),
    "titan": (
        "amazon.titan-text-express-v1",
        {"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 50}},
        lambda body: (body["results"][0]["outputText"], body["results"][0]["tokenCount"]),
    ),
    "llama": (
        "meta.llama3-8b-instruct-v1:0",
        {"prompt": "Hi", "max_gen_len": 50},
        lambda body: (body["generation"], body["generation_token_count"]),
    ),
    "mistral": ("mistral.mistral-7b-instruct-v0:2", {"prompt": "Hi", "max_tokens": 50}, lambda body: (body["outputs"][0]["text"], 2)),
    "openai": (
        "mistral.mistral-large-2407-v1:0",
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "max_tokens": 50},
        lambda body: (body["choices"][0]["message"]["content"], body["usage"]["completion_tokens"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", BODIES)
def test_each_family_is_asked_and_answers_in_its_own_form(family):
    model, body, shown = BODIES[family]
    for given in (body, json.dumps(body)):
        question = question_of(model, given)
        assert (question.family, question.tokens_max) == (family, 50)
        assert question.messages[-1] == ("user", "Hi")
    if len(question.messages) == 2:
        assert question.messages[0] == ("system", "Be brief.")
    assert question_of("my-own-model", body).family in (family, "mistral")
    assert shown(answer_of(question, Answer("Hello", "m", "stop", 3, 2), "key")) == ("Hello", 2)


@pytest.mark.parametrize(
    "body",
    ["{", [], {}, {"anthropic_version": "x"}, {"anthropic_version": "x", "max_tokens": 1, "messages": []},
     {"anthropic_version": "x", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "image"}]}]},
     {"anthropic_version": "x", "max_tokens": "many", "messages": [{"role": "user", "content": "x"}]}],
)  # fmt: skip
def test_a_body_that_is_no_question_is_refused(body):
    with pytest.raises(NoQuestion, match="Malformed input request"):
        question_of("some-model", body)
