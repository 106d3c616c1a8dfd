import asyncio

import pytest
from desk import Question, client_of, client_to, problem

from penstock import App
from penstock.core.events.envelope import emitted_id
from penstock.errors import Fenced, Unavailable
from penstock.gateway import let_go, web_app
from penstock.runtime.appending import EVENT_BYTES_MAX

ASK = {"session_id": "s1", "text": "why?"}
ANSWERED = {"session_id": "s1", "text": "WHY?"}


async def test_a_run_that_ended_is_answered_with_its_result(client):
    response = await client.post("/v1/agents/answer", json=ASK)
    assert response.status_code == 200
    answer = response.json()
    assert answer["result"] == ANSWERED
    assert answer["status"] == "succeeded"
    assert answer["run_id"] == f"{answer['event_id']}:answer"
    assert "reason" not in answer


async def test_a_run_that_failed_is_a_fact_and_no_error_of_http(client):
    response = await client.post("/v1/agents/grumpy", json={**ASK, "text": "boom"})
    assert response.status_code == 200
    answer = response.json()
    assert answer["status"] == "failed"
    assert answer["reason"].startswith("ValueError: no mood for that")
    assert answer["result"] is None


async def test_a_run_that_goes_on_is_accepted_and_can_be_asked_for_later(client, desk):
    response = await client.post("/v1/agents/patient?wait_s=0", json={"item": "tea"})
    assert response.status_code == 202
    accepted = response.json()
    assert set(accepted) == {"run_id", "event_id", "status"}
    assert accepted["status"] in ("queued", "running")
    await desk.arrived.wait()
    shown = await client.get(response.headers["location"])
    assert shown.json()["status"] == "running"
    desk.gate.set()
    again = await client.get(f"/v1/runs/{accepted['run_id']}/events")
    assert '"result":"1 tea"' in again.text


async def test_who_waits_no_longer_than_he_said_is_told_that_the_run_goes_on(client):
    response = await client.post("/v1/agents/patient?wait_s=0.01", json={"item": "tea"})
    assert response.status_code == 202
    assert response.json()["status"] == "running"


async def test_who_waits_is_answered_when_the_run_ends(client, desk):
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.post("/v1/agents/patient?wait_s=30", json={"item": "tea", "count": 2}))
        await desk.arrived.wait()
        desk.gate.set()
    assert (waiting.result().status_code, waiting.result().json()["result"]) == (200, "2 tea")


@pytest.mark.parametrize("wait_s", ["-1", "301", "soon", "nan"])
async def test_a_wait_out_of_bounds_is_refused(client, wait_s):
    document = problem(await client.post(f"/v1/agents/answer?wait_s={wait_s}", json=ASK), 422, "invalid")
    assert document["findings"][0]["path"] == "query.wait_s"


async def test_all_that_is_wrong_with_an_event_is_said_at_once(client):
    document = problem(await client.post("/v1/agents/answer", json={"text": 3, "mood": "bad"}), 422, "invalid")
    assert {each["path"] for each in document["findings"]} == {"session_id", "text", "mood"}
    assert document["detail"].startswith("cannot accept the data of Question.v1:")


async def test_what_is_said_of_an_unknown_field_names_the_known_ones(client):
    document = problem(await client.post("/v1/agents/answer", json={**ASK, "mood": "bad"}), 422, "invalid")
    (finding,) = document["findings"]
    assert (finding["path"], finding["hint"]) == ("mood", "the fields are session_id, text")
    document = problem(await client.post("/search", json={"query": "x", "topk": 3}), 422, "invalid")
    (finding,) = document["findings"]
    assert finding["path"] == "body.topk"
    assert finding["hint"].startswith("the fields are query, top_k, collection,")


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"x"', b"\xff", b"[" * 100_000])
async def test_what_is_no_event_is_refused(client, body):
    response = await client.post("/v1/agents/answer", content=body, headers={"Content-Type": "application/json"})
    problem(response, 422, "invalid")


async def test_a_form_is_no_event_so_that_no_web_page_can_send_one(client):
    response = await client.post("/v1/agents/answer", content=b'{"session_id":"s1","text":"x"}')
    problem(response, 415, "unsupported-media-type")
    headers = {"Content-Type": "text/plain"}
    problem(await client.post("/v1/agents/answer", content=b"{}", headers=headers), 415, "unsupported-media-type")


async def test_an_agent_that_is_not_there_is_missing_and_the_others_are_named(client):
    document = problem(await client.post("/v1/agents/nobody", json=ASK), 404, "missing")
    assert "answer, patient" in document["detail"]


async def test_a_path_that_is_not_there_is_a_problem_too(client):
    problem(await client.get("/v2"), 404, "not-found")
    problem(await client.get("/v1/agents/answer"), 405, "method-not-allowed")


async def test_an_agent_of_several_types_needs_to_know_which(client):
    order = await client.post("/v1/agents/either?type=Order.v1", json={"item": "tea"})
    question = await client.post("/v1/agents/either?type=Question.v1", json=ASK)
    assert (order.json()["result"], question.json()["result"]) == ("Order", "Question")
    document = problem(await client.post("/v1/agents/either", json=ASK), 422, "invalid")
    assert document["findings"][0]["hint"] == "one of Question.v1, Order.v1"
    problem(await client.post("/v1/agents/either?type=Answer.v1", json=ANSWERED), 422, "invalid")


async def test_an_agent_that_takes_batches_cannot_be_called(client):
    document = problem(await client.post("/v1/agents/many", json=ANSWERED), 409, "refused")
    assert "/v1/events" in document["detail"]


async def test_the_same_idempotency_key_is_one_run(client, desk):
    headers = {"Idempotency-Key": "once"}
    answers = [await client.post("/v1/agents/answer", json=ASK, headers=headers) for _ in range(2)]
    together = await asyncio.gather(*(client.post("/v1/agents/answer", json=ASK, headers=headers) for _ in range(5)))
    assert {each.json()["run_id"] for each in [*answers, *together]} == {"once:answer"}
    assert {each.json()["result"]["text"] for each in [*answers, *together]} == {"WHY?"}
    assert desk.counted == 1


async def test_an_idempotency_key_that_was_used_for_something_else_is_refused(client):
    headers = {"Idempotency-Key": "once"}
    await client.post("/v1/agents/answer", json=ASK, headers=headers)
    other = await client.post("/v1/agents/answer", json={**ASK, "text": "how?"}, headers=headers)
    assert "WHY" not in problem(other, 409, "refused")["detail"]


async def test_the_same_idempotency_key_of_two_tenants_is_two_runs(client, desk):
    one = await client.post("/v1/agents/answer", json=ASK, headers={"Idempotency-Key": "k"})
    other = await client.post(
        "/v1/agents/answer", json={**ASK, "text": "how?"}, headers={"Idempotency-Key": "k", "X-Tenant": "acme"}
    )
    assert (one.json()["result"]["text"], other.json()["result"]["text"]) == ("WHY?", "HOW?")
    assert desk.counted == 2


async def test_no_key_from_outside_can_be_the_id_of_an_event_that_a_run_will_emit(client, running):
    coming = emitted_id("k:answer", "k", 0)
    assert coming.startswith("k.")
    await client.post("/v1/agents/answer", json=ASK, headers={"Idempotency-Key": coming})
    response = await client.post("/v1/agents/answer", json=ASK, headers={"Idempotency-Key": "k"})
    assert response.json()["status"] == "succeeded"
    assert running.engine.services.committer.failure is None


@pytest.mark.parametrize("name", ["X-Tenant", "Idempotency-Key"])
async def test_a_header_that_is_too_long_is_refused(client, name):
    document = problem(await client.post("/v1/agents/answer", json=ASK, headers={name: "x" * 300}), 422, "invalid")
    assert document["findings"][0]["path"] == f"header.{name.lower()}"


@pytest.mark.parametrize("tenant", ["a/b", "a b", "a~b", ""])
async def test_a_tenant_has_a_plain_name(client, tenant):
    document = problem(await client.post("/v1/agents/answer", json=ASK, headers={"X-Tenant": tenant}), 422, "invalid")
    assert document["findings"][0]["path"] == "header.x-tenant"
    assert "letters, digits" in document["findings"][0]["hint"]


async def test_a_body_above_the_limit_is_refused_whatever_it_announces(client):
    async def unannounced():
        for _ in range(18):
            yield b"x" * 1_000_000

    headers = {"Content-Type": "application/json"}
    for content in (b"x" * 18_000_000, unannounced()):
        document = problem(
            await client.post("/v1/agents/answer", content=content, headers=headers), 413, "limit-reached"
        )
        assert "the size of the body" in document["detail"]


async def test_an_event_above_the_engine_s_limit_is_refused(client):
    problem(await client.post("/v1/agents/answer", json={**ASK, "text": "x" * EVENT_BYTES_MAX}), 413, "limit-reached")


@pytest.mark.parametrize("failure", [Unavailable("sqlite", "commit"), Fenced("desk", 1)])
async def test_a_store_that_stays_away_is_unavailable_and_worth_another_try(client, running, failure):
    running.engine.services.committer.failure = failure
    for response in (await client.post("/v1/agents/answer", json=ASK), await client.get("/healthz")):
        problem(response, 503, "unavailable")
        assert response.headers["retry-after"] == "1"
    running.engine.services.committer.failure = None


async def test_who_waits_is_let_go_when_the_server_is_about_to_stop(running, desk):
    api = web_app(running)
    async with client_to(api) as client:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(client.post("/v1/agents/patient?wait_s=300", json={"item": "tea"}))
            await desk.arrived.wait()
            let_go(api)
        assert waiting.result().status_code == 202
        again = await client.post("/v1/agents/patient?wait_s=300", json={"item": "tea"})
        assert again.status_code == 202


async def test_an_app_without_agents_says_so():
    async with App("bare").running(store="memory:") as running, client_of(running) as client:
        assert "this app has none" in problem(await client.post("/v1/agents/x", json={}), 404, "missing")["detail"]


ECHO = {"StartAt": "Echo", "States": {"Echo": {"Type": "Pass", "Parameters": {"said.$": "$.text"}, "End": True}}}


async def test_a_machine_that_an_event_begins_is_called_with_that_event():
    app = App("echoing")
    app.workflow("echo", definition=ECHO, accepts=Question)
    async with app.running(store="memory:") as running, client_of(running) as client:
        answer = (await client.post("/v1/agents/echo", json=ASK)).json()
        assert answer["result"] == {"said": "why?"}
        bare = await client.post("/v1/agents/echo?type=echo.input.v1", json={"input": {"text": "hm"}})
        assert bare.json()["result"] == {"said": "hm"}
