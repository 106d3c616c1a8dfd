"""Timers and schedules over HTTP: events that wait, schedules that are paused, resumed and triggered."""

import pytest
from desk import Desk, client_of, problem

from penstock import App, Event

HOUR_S = 3600
CLOUDEVENT = {"content-type": "application/cloudevents+json"}


class Report(Event):
    kind: str = ""


@pytest.fixture
def app():
    app = Desk().app
    app.schedule("nightly", "cron(0 3 * * ? *)", event=Report(kind="nightly"), timezone="Europe/Berlin")
    app.schedule("theirs", "rate(1 hour)", event=Report(), tenant="acme")
    return app


@pytest.fixture
async def running(app):
    async with app.running(store="memory:") as running:
        await running.engine.settled(5)
        yield running


@pytest.fixture
async def client(running):
    async with client_of(running) as client:
        yield client


def event(number):
    data = {"session_id": "s", "text": "a"}
    return {"specversion": "1.0", "id": str(number), "source": "/test", "type": "Question.v1", "data": data}


async def test_an_event_waits_for_its_time_and_is_cancelled(client, running):
    sent = await client.post("/v1/events", params={"after_s": HOUR_S}, json=event(1), headers=CLOUDEVENT)
    assert sent.status_code == 202
    at = await client.post("/v1/events", params={"at": "2100-01-01T00:00:00Z"}, json=event(2), headers=CLOUDEVENT)
    timers = (await client.get("/v1/timers")).json()["timers"]
    waiting = {each["id"]: each for each in timers if each["type"] == "Question.v1"}
    assert waiting.keys() == {sent.json()["id"], at.json()["id"]}
    assert waiting[at.json()["id"]]["due"] == "2100-01-01T00:00:00.000Z"
    assert waiting[at.json()["id"]]["clock"] == "wall"
    other = await client.delete(f"/v1/timers/{sent.json()['id']}", headers={"X-Tenant": "acme"})
    problem(other, 404, "missing")
    assert (await client.delete(f"/v1/timers/{sent.json()['id']}")).status_code == 204
    problem(await client.delete(f"/v1/timers/{sent.json()['id']}"), 404, "missing")
    assert await running.engine.parts.store.event(sent.json()["id"]) is None


@pytest.mark.parametrize("params", [{"after_s": -1}, {"at": "tomorrow"}, {"after_s": 1, "at": "2100-01-01T00:00:00Z"}])
async def test_what_is_no_time_is_refused(client, params):
    problem(await client.post("/v1/events", params=params, json=event(1), headers=CLOUDEVENT), 422, "invalid")


async def test_a_schedule_is_shown_paused_resumed_and_triggered(client, running):
    (shown,) = (await client.get("/v1/schedules")).json()["schedules"]
    assert (shown["name"], shown["status"], len(shown["next"])) == ("nightly", "active", 1)
    assert len((await client.get("/v1/schedules/nightly", params={"count": 7})).json()["next"]) == 7
    assert (await client.post("/v1/schedules/nightly/pause")).status_code == 202
    await running.engine.settled(5)
    assert (await client.get("/v1/schedules/nightly")).json()["status"] == "paused"
    for _ in range(2):
        said = await client.post("/v1/schedules/nightly/trigger", headers={"Idempotency-Key": "t1"})
        assert said.status_code == 202
    assert (await client.post("/v1/schedules/nightly/resume")).status_code == 202
    await running.engine.settled(5)
    found = (await client.get("/v1/schedules/nightly")).json()
    assert found["status"] == "active"
    assert await running.engine.parts.store.event(found["last_event"]) is not None
    assert (await running.engine.parts.store.ends())["report", 0] == 1


async def test_a_schedule_of_another_tenant_is_not_there(client):
    for answer in (
        await client.get("/v1/schedules/theirs"),
        await client.post("/v1/schedules/theirs/pause"),
        await client.post("/v1/schedules/nobodys/trigger"),
    ):
        problem(answer, 404, "missing")
    (shown,) = (await client.get("/v1/schedules", headers={"X-Tenant": "acme"})).json()["schedules"]
    assert shown["name"] == "theirs"


async def test_an_app_without_schedules_has_none():
    async with App("bare").running(store="memory:") as running, client_of(running) as client:
        assert (await client.get("/v1/schedules")).json() == {"schedules": []}
        problem(await client.post("/v1/schedules/x/pause"), 404, "missing")
