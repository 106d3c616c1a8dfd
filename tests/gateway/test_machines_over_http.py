"""State machines over HTTP: started, looked at, stopped, redriven, and their tasks answered by token."""

from urllib.parse import quote

import pytest
from desk import client_of, problem

from penstock import App, TaskFailed, TaskInput
from penstock.core.agents.policy import Retry

HAND_OVER = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "keep", "Payload.$": "$$.Task.Token"},
            "End": True,
        }
    },
}
WORK = {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": "agent:toil", "End": True}}}


class Clerk:
    def __init__(self):
        self.tokens = []
        self.broken = True
        self.app = app = App("clerk")

        @app.agent
        async def keep(given: TaskInput) -> None:
            self.tokens.append(given.input)

        @app.agent(retry=Retry(attempts_max=1))
        async def toil(given: TaskInput) -> object:
            if self.broken:
                raise TaskFailed("Work.Broken", "oh")
            return given.input

        app.activity("paint")
        app.workflow("ask", definition=HAND_OVER)
        app.workflow(
            "walls", definition={"StartAt": "P", "States": {"P": {"Type": "Task", "Resource": "paint", "End": True}}}
        )
        app.workflow("work", definition=WORK)


@pytest.fixture
def clerk():
    return Clerk()


@pytest.fixture
async def running(clerk):
    async with clerk.app.running(store="memory:") as running:
        yield running


@pytest.fixture
async def client(running):
    async with client_of(running) as client:
        yield client


def at(machine, run, what=""):
    return f"/v1/machines/{machine}/runs/{quote(run)}{what}"


async def begun(client, machine, **body):
    answer = await client.post(f"/v1/machines/{machine}/runs", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_machines_are_listed_with_their_definitions(client):
    listed = (await client.get("/v1/machines")).json()["machines"]
    assert [each["name"] for each in listed] == ["ask", "walls", "work"]
    assert listed[2]["definition"] == WORK
    assert (await client.get("/v1/machines/work")).json() == listed[2]
    problem(await client.get("/v1/machines/keep"), 404, "missing")


async def test_a_run_is_begun_described_and_its_history_shown(client, clerk):
    clerk.broken = False
    run = await begun(client, "work", input=[1], name="first", wait_s=5)
    assert (run["status"], run["output"], run["name"]) == ("SUCCEEDED", [1], "first")
    assert (await client.get(at("work", run["run_id"]))).json() == run
    assert (await client.get(at("work", run["arn"]))).json() == run
    history = (await client.get(at("work", run["run_id"], "/history"), params={"newest_first": True})).json()
    assert history["events"][0]["type"] == "ExecutionSucceeded"
    assert (await client.get("/v1/machines/work/runs", params={"status": "SUCCEEDED"})).json()["runs"] == [run]
    problem(await client.post("/v1/machines/work/runs", json={"input": 2, "name": "first"}), 409, "refused")
    problem(await client.post("/v1/machines/work/runs", json={"inputs": 2}), 422, "invalid")
    problem(await client.get(at("work", run["run_id"]), headers={"x-tenant": "acme"}), 404, "missing")


async def test_a_task_is_answered_by_token(client, clerk, running):
    run = await begun(client, "ask")
    await running.engine.until(lambda: clerk.tokens)
    (token,) = clerk.tokens
    problem(await client.post("/v1/tasks/success", json={"token": "x"}), 409, "refused")
    assert (await client.post("/v1/tasks/heartbeat", json={"token": token})).status_code == 204
    assert (await client.post("/v1/tasks/success", json={"token": token, "output": 7})).status_code == 204
    problem(await client.post("/v1/tasks/failure", json={"token": token, "error": "E"}), 409, "refused")
    assert await running.result(run["run_id"]) == 7


async def test_a_run_is_stopped_and_another_redriven(client, clerk, running):
    run = await begun(client, "ask")
    await client.post(at("ask", run["run_id"], "/stop"), json={"error": "Enough", "cause": "rain"})
    await running.engine.settled(5)
    stopped = (await client.get(at("ask", run["run_id"]))).json()
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "Enough", "rain")
    failed = await begun(client, "work", input=3, wait_s=5)
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "Work.Broken", "oh")
    clerk.broken = False
    assert (await client.post(at("work", failed["run_id"], "/redrive"))).status_code == 200
    assert await running.result(failed["run_id"]) == 3
    problem(await client.post(at("work", failed["run_id"], "/redrive")), 409, "refused")


async def test_a_worker_comes_for_the_tasks_of_an_activity(client, running):
    assert (await client.post("/v1/activities/paint/task", json={"wait_s": 0})).json() == {"token": None, "input": None}
    run = await begun(client, "walls", input={"colour": "blue"})
    task = (await client.post("/v1/activities/paint/task", json={"wait_s": 5})).json()
    assert task["input"] == {"colour": "blue"}
    assert (await client.post("/v1/tasks/success", json={"token": task["token"], "output": 1})).status_code == 204
    assert await running.result(run["run_id"]) == 1
    problem(await client.post("/v1/activities/print/task", json={}), 404, "missing")
