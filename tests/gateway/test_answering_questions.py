"""Steps that wait for people, over HTTP."""

import asyncio

import pytest
from desk import client_of

from penstock import App, Context, Event, tool


class Buy(Event):
    cents: int


@pytest.fixture
async def running():
    """An app with one run, `b1:buy`, that asks what became of a charge."""
    app = App("shop")

    @tool(unknown="ask")
    async def charge(cents: int) -> int:
        raise TimeoutError("no answer")

    @app.agent
    async def buy(event: Buy, ctx: Context) -> int:
        return await ctx.step("charge", charge, event.cents)

    async with app.running(store="memory:") as running:
        await running.send(Buy(cents=7), id="b1")
        await running.engine.until(running.questions)
        yield running


@pytest.fixture
async def asking(running):
    async with client_of(running) as client:
        yield client


async def test_a_question_is_listed_and_answered(asking, running):
    (question,) = (await asking.get("/v1/questions")).json()["questions"]
    assert (question["run_id"], question["step"], question["call"]) == ("b1:buy", "charge#0", "charge(7)")
    assert question["reason"] == "TimeoutError: no answer"
    assert (await asking.get("/v1/runs/b1:buy")).json()["status"] == "asking"
    answer = await asking.post(
        "/v1/runs/b1:buy/decisions", json={"step": "charge#0", "outcome": "done", "value": 7, "by": "ada"}
    )
    assert answer.status_code == 202
    with running.engine.services.releases.run("b1:buy") as ended:
        run = (await asking.get("/v1/runs/b1:buy")).json()
        if run["status"] != "succeeded":
            await asyncio.wait_for(ended, 5)
            run = (await asking.get("/v1/runs/b1:buy")).json()
    assert run["result"] == 7
    assert (await asking.get("/v1/questions")).json() == {"questions": []}


@pytest.mark.parametrize(
    ("decision", "headers", "status"),
    [
        ({"step": "charge#1", "outcome": "done"}, {}, 404),
        ({"step": "charge#0", "outcome": "done"}, {"X-Tenant": "other"}, 404),
        ({"step": "charge#0", "outcome": "perhaps"}, {}, 422),
        ({"outcome": "done"}, {}, 422),
    ],
)
async def test_what_is_no_answer_to_it_is_refused(asking, decision, headers, status):
    answer = await asking.post("/v1/runs/b1:buy/decisions", json=decision, headers=headers)
    assert answer.status_code == status
    assert len((await asking.get("/v1/questions")).json()["questions"]) == 1
    assert (await asking.get("/v1/questions", headers={"X-Tenant": "other"})).json() == {"questions": []}
