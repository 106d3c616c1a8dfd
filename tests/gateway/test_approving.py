"""What waits for a person to approve it, and what runs expose, over HTTP."""

import asyncio
from urllib.parse import quote

import pytest
from desk import client_of
from pydantic import BaseModel

from penstock import App, Event, WorkflowContext


class Claim(Event, key="who"):
    who: str


class Refund(BaseModel):
    cents: int
    note: str = ""


@pytest.fixture
async def running():
    """An app with one run, `c1:handle`, that asks for two things at once."""
    app = App("desk")

    @app.workflow
    async def handle(claim: Claim, ctx: WorkflowContext) -> list:
        ctx.expose("progress", {"answers": 0})
        refund, gift = await ctx.gather(
            ctx.approval("Refund?", payload={"who": claim.who}, to=Refund, timeout_s=3600),
            ctx.approval("Gift?", options=["tea", "cake"]),
        )
        ctx.expose("progress", {"answers": 2})
        return [refund.approved, refund.reason, gift.value]

    async with app.running(store="memory:") as running:
        await running.send(Claim(who="ada"), id="c1")
        await running.engine.until(running.approvals, lambda asked: len(asked) == 2)
        yield running


@pytest.fixture
async def desk(running):
    async with client_of(running) as client:
        yield client


def address(approval):
    return f"/v1/approvals/{quote(approval, safe=':')}"


async def test_approvals_are_listed_and_answered_in_any_order(desk, running):
    listed = (await desk.get("/v1/approvals")).json()["approvals"]
    refund, gift = listed
    assert (refund["id"], refund["title"]) == ("c1:handle/gather#0[0]/approval#0", "Refund?")
    assert refund["payload"] == {"who": "ada"}
    assert refund["json_schema"]["required"] == ["cents"]
    assert refund["due_ms"] == refund["asked_ms"] + 3_600_000
    assert (gift["options"], gift["json_schema"], gift["due_ms"]) == (["tea", "cake"], None, None)
    answer = await desk.post(address(gift["id"]), json={"approved": True, "value": "tea", "by": "bob"})
    assert (answer.status_code, answer.json()) == (200, {"id": gift["id"], "approved": True})
    answer = await desk.post(address(refund["id"]), json={"approved": False, "reason": "too late", "by": "bob"})
    assert answer.status_code == 200
    assert await asyncio.wait_for(running.result("c1:handle"), 5) == [False, "too late", "tea"]
    assert (await desk.get("/v1/approvals")).json() == {"approvals": []}
    again = await desk.post(address(refund["id"]), json={"approved": True, "value": {"cents": 1}})
    assert again.status_code == 409
    assert "rejected by bob: too late" in again.json()["detail"]


async def test_an_answer_that_is_none_is_refused_with_all_findings(desk):
    refund, gift = [each["id"] for each in (await desk.get("/v1/approvals")).json()["approvals"]]
    wrong = await desk.post(address(refund), json={"approved": True, "value": {"cents": "x", "note": 1}})
    assert wrong.status_code == 422
    assert [each["path"] for each in wrong.json()["findings"]] == ["value.cents", "value.note"]
    wrong = await desk.post(address(gift), json={"approved": True, "value": "beer"})
    assert wrong.json()["findings"][0]["hint"] == 'one of "tea", "cake"'
    for each, headers, body, status in [
        ("c1:handle/approval#7", {}, {"approved": True}, 404),
        ("nonsense", {}, {"approved": True}, 404),
        (gift, {"X-Tenant": "other"}, {"approved": True, "value": "tea"}, 404),
        (gift, {}, {"approved": "perhaps"}, 422),
        (gift, {}, {"approve": True}, 422),
    ]:
        assert (await desk.post(address(each), json=body, headers=headers)).status_code == status
    assert len((await desk.get("/v1/approvals")).json()["approvals"]) == 2
    assert (await desk.get("/v1/approvals", headers={"X-Tenant": "other"})).json() == {"approvals": []}


async def test_the_same_key_twice_is_one_answer(desk):
    _, gift = [each["id"] for each in (await desk.get("/v1/approvals")).json()["approvals"]]
    body, headers = {"approved": True, "value": "cake"}, {"Idempotency-Key": "k1"}
    answers = [await desk.post(address(gift), json=body, headers=headers) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    assert (await desk.post(address(gift), json=body)).status_code == 409


async def test_what_a_run_exposes_is_read(desk):
    listed = (await desk.get("/v1/runs/c1:handle/queries")).json()["queries"]
    assert [(each["name"], each["value"]) for each in listed] == [("progress", {"answers": 0})]
    one = await desk.get("/v1/runs/c1:handle/queries/progress")
    assert one.json() == listed[0]
    missing = await desk.get("/v1/runs/c1:handle/queries/other")
    assert missing.status_code == 404
    assert "it exposes progress" in missing.json()["detail"]
    assert (await desk.get("/v1/runs/none:handle/queries")).status_code == 404
    assert (await desk.get("/v1/runs/c1:handle/queries", headers={"X-Tenant": "other"})).status_code == 404


async def test_what_a_run_waits_for_is_shown(desk):
    run = (await desk.get("/v1/runs/c1:handle")).json()
    assert [(each["step"], each["what"]) for each in run["waiting"]] == [
        ("gather#0[0]/approval#0", "the approval 'Refund?'"),
        ("gather#0[1]/approval#0", "the approval 'Gift?'"),
    ]
    assert run["waiting"][0]["due_ms"] == run["waiting"][0]["since_ms"] + 3_600_000
