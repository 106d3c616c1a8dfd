"""People talk to workflow runs over HTTP: signals, approvals, cancellation."""

import asyncio

import httpx2
import pytest

from penstock import App, Event, WorkflowContext
from penstock.gateway import web_app


class Leave(Event, key="who"):
    who: str


def office():
    app = App("office")

    @app.workflow
    async def leave(asked: Leave, ctx: WorkflowContext) -> str:
        approval = await ctx.wait_for("approval")
        return f"{asked.who}: {approval['verdict']} by {approval['by']}"

    @app.agent(name="note")
    async def note(asked: Leave) -> None:
        return None

    return app


@pytest.fixture
async def door():
    async with office().running(store="memory:") as running:
        transport = httpx2.ASGITransport(app=web_app(running))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def begun(door, key="l1", tenant="default"):
    headers = {"Idempotency-Key": key, "X-Tenant": tenant}
    answer = await door.post("/v1/agents/leave?wait_s=0", json={"who": "ada"}, headers=headers)
    assert answer.status_code == 202
    return answer.json()["run_id"]


async def ended(door, run_id, tenant="default"):
    for _ in range(500):
        run = (await door.get(f"/v1/runs/{run_id}", headers={"X-Tenant": tenant})).json()
        if run["status"] not in ("queued", "running"):
            return run
        await asyncio.sleep(0)
    raise AssertionError(run)


async def test_an_approval_reaches_the_run_that_waits_for_it(door):
    run_id = await begun(door)
    said = await door.post(f"/v1/runs/{run_id}/signals/approval", json={"verdict": "yes", "by": "grace"})
    assert said.status_code == 202
    assert said.json()["event_id"]
    run = await ended(door, run_id)
    assert (run["status"], run["result"]) == ("succeeded", "ada: yes by grace")


async def test_the_same_key_twice_is_one_signal(door):
    run_id = await begun(door)
    path, key = f"/v1/runs/{run_id}/signals/other", {"Idempotency-Key": "s1"}
    first = await door.post(path, json=1, headers=key)
    again = await door.post(path, json=1, headers=key)
    assert first.json() == again.json()


async def test_a_run_can_be_cancelled_with_a_reason(door):
    run_id = await begun(door)
    assert (await door.post(f"/v1/runs/{run_id}/cancel", params={"reason": "no"})).status_code == 202
    run = await ended(door, run_id)
    assert (run["status"], run["reason"]) == ("cancelled", "no")


async def test_a_run_that_has_ended_takes_no_signal(door):
    run_id = await begun(door)
    await door.post(f"/v1/runs/{run_id}/cancel")
    await ended(door, run_id)
    answer = await door.post(f"/v1/runs/{run_id}/signals/approval", json=None)
    assert answer.status_code == 409
    assert "has ended (cancelled)" in answer.json()["detail"]


async def test_a_run_of_an_agent_takes_no_signal(door):
    answer = await door.post("/v1/agents/note", json={"who": "ada"})
    refused = await door.post(f"/v1/runs/{answer.json()['run_id']}/signals/approval", json=None)
    assert refused.status_code == 409


async def test_another_tenants_run_is_not_there(door):
    run_id = await begun(door, tenant="acme")
    answer = await door.post(f"/v1/runs/{run_id}/signals/approval", json={"verdict": "yes", "by": "mallory"})
    assert answer.status_code == 404
    headers = {"X-Tenant": "acme"}
    body = {"verdict": "no", "by": "grace"}
    assert (await door.post(f"/v1/runs/{run_id}/signals/approval", json=body, headers=headers)).status_code == 202
    assert (await ended(door, run_id, "acme"))["result"] == "ada: no by grace"


async def test_a_handling_of_an_agent_can_be_cancelled_and_one_that_has_ended_cannot():
    app, begun_ = App("office"), asyncio.Event()

    @app.agent(key="who")
    async def think(asked: Leave) -> str:
        begun_.set()
        await asyncio.Event().wait()
        return asked.who

    @app.agent(batch=10)
    async def count(asked: list[Leave]) -> None:
        return None

    async with app.running(store="memory:") as running:
        transport = httpx2.ASGITransport(app=web_app(running))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as door:
            runs = [
                (await door.post("/v1/agents/think?wait_s=0", json={"who": "ada"})).json()["run_id"] for _ in range(2)
            ]
            await begun_.wait()
            for run_id in reversed(runs):  # the second one waits for its turn
                assert (await door.post(f"/v1/runs/{run_id}/cancel", params={"reason": "no"})).status_code == 202
                run = await ended(door, run_id)
                assert (run["status"], run["reason"]) == ("cancelled", "no")
            answer = await door.post(f"/v1/runs/{runs[0]}/cancel")
            assert (answer.status_code, "has ended" in answer.json()["detail"]) == (409, True)
            in_batch = runs[0].replace(":think", ":count")
            refused = await door.post(f"/v1/runs/{in_batch}/cancel")
            assert (refused.status_code, "batches" in refused.json()["detail"]) == (409, True)


async def test_a_halted_run_can_be_cancelled(tmp_path):
    store = f"sqlite:{tmp_path / 'store.db'}"
    async with office().running(store=store) as running:
        run_id = await running.start("leave", Leave(who="ada"))
    async with App("office").running(store=store) as running:
        transport = httpx2.ASGITransport(app=web_app(running))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as door:
            run = await ended(door, run_id)
            assert (run["status"], "no workflow 'leave' any more" in run["reason"]) == ("halted", True)
            assert (await door.post(f"/v1/runs/{run_id}/cancel")).status_code == 202
            while run["status"] == "halted":
                run = (await door.get(f"/v1/runs/{run_id}")).json()
            assert run["status"] == "cancelled"
