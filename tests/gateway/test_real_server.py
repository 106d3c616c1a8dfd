"""Through a real server: what only a socket shows."""

import asyncio

import httpx2
import pytest
from desk import Desk
from real_server import served

from penstock.gateway import served_app, web_app
from penstock.settings import Settings


@pytest.fixture
async def client(running):
    async with served(web_app(running), lifespan="off") as client:
        yield client


async def test_a_listener_gets_each_piece_as_it_comes(client, desk):
    run = (await client.post("/v1/agents/patient?wait_s=0", json={"item": "tea"})).json()["run_id"]
    seen = []
    async with client.stream("GET", f"/v1/runs/{run}/events") as response:
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                seen.append(line.removeprefix("event: "))
                if seen[-1] == "step":
                    desk.gate.set()  # only now can the run go on: so the step was told while it was under way
    assert seen[-1] == "succeeded"
    assert "step" in seen


async def test_a_listener_who_leaves_changes_nothing(client, desk, running):
    run = (await client.post("/v1/agents/patient?wait_s=0", json={"item": "tea"})).json()["run_id"]
    async with client.stream("GET", f"/v1/runs/{run}/events") as response:
        async for line in response.aiter_lines():
            if line.startswith("event: step"):
                break
    async with asyncio.timeout(10):
        while running.engine.services.releases._listeners:  # noqa: ASYNC110 - nobody tells that one has gone
            await asyncio.sleep(0.001)
    desk.gate.set()
    assert await running.engine.settled(5)
    assert (await client.get(f"/v1/runs/{run}")).json()["result"] == "1 tea"


async def test_a_caller_who_leaves_does_not_end_the_run(client, desk, running):
    with pytest.raises(httpx2.ReadTimeout):
        await client.post("/v1/agents/patient", json={"item": "tea"}, timeout=0.05, headers={"Idempotency-Key": "k"})
    desk.gate.set()
    again = await client.post("/v1/agents/patient", json={"item": "tea"}, headers={"Idempotency-Key": "k"})
    assert again.json()["result"] == "1 tea"


async def test_an_app_can_be_opened_by_its_server(tmp_path):
    desk = Desk()
    desk.gate.set()
    settings = Settings(store=f"sqlite:{tmp_path / 'desk.db'}")
    async with served(served_app(desk.app, settings)) as client:
        first = (await client.post("/v1/agents/patient", json={"item": "tea"})).json()
        assert first["result"] == "1 tea"
    async with served(served_app(desk.app, settings)) as client:
        assert (await client.get(f"/v1/runs/{first['run_id']}")).json()["status"] == "succeeded"
