import asyncio
import json

import msgspec
import pytest
from desk import client_to, problem

from penstock.gateway import let_go, web_app
from penstock.gateway.limits import STREAMS_MAX
from penstock.runtime.releases import PIECES_MAX, Piece


def told(text):
    """Return the (event, data) pairs of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def followed(client, run):
    response = await client.get(f"/v1/runs/{run}/events")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    return told(response.text)


async def begun(client, agent, body):
    return (await client.post(f"/v1/agents/{agent}?wait_s=0", json=body)).json()["run_id"]


async def listening(running, count=1):
    """Return once so many listen."""
    while sum(map(len, running.engine.services.releases._listeners.values())) < count:  # noqa: ASYNC110 - nobody tells that one has begun to listen
        await asyncio.sleep(0)


async def test_a_run_that_has_ended_is_told_from_the_store(client):
    response = await client.post("/v1/agents/answer", json={"session_id": "s1", "text": "why?"})
    steps, event, end = await followed(client, response.json()["run_id"])
    assert (steps[0], steps[1]["name"]) == ("step", "shout#0")
    assert event[0] == "event"
    assert (event[1]["type"], event[1]["data"]["text"]) == ("Answer.v1", "WHY?")
    assert event[1]["causationid"] == response.json()["event_id"]
    assert (end[0], end[1]["result"]["text"]) == ("succeeded", "WHY?")


async def test_a_failed_run_ends_with_its_reason(client):
    response = await client.post("/v1/agents/grumpy", json={"session_id": "s1", "text": "boom"})
    reason = (await followed(client, response.json()["run_id"]))[-1][1]["reason"]
    assert reason.startswith("ValueError: no mood for that")


async def test_a_run_under_way_is_told_from_its_beginning_and_then_live(client, desk, running):
    run = await begun(client, "patient", {"item": "tea"})
    await desk.arrived.wait()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(client, run))
        await listening(running)
        desk.gate.set()
    assert [(kind, data.get("name") or data.get("result")) for kind, data in following.result()] == [
        ("step", "look#0"),
        ("token", "say"),
        ("succeeded", "1 tea"),
    ]
    assert following.result()[1][1] == {"text": "done", "name": "say", "provisional": True}


async def test_a_run_that_is_tried_again_says_so_once_and_tells_its_steps_once(client, desk, running):
    run = await begun(client, "clumsy", {"item": "Vase"})
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(client, run))
        await listening(running)
        desk.gate.set()
    kinds = [kind for kind, _ in following.result()]
    assert kinds == ["step", "retrying", "succeeded"]
    assert following.result()[1][1]["reason"].startswith("RuntimeError: dropped it")


async def test_what_other_runs_of_the_same_event_do_is_not_told(client, desk, running):
    run = await begun(client, "patient", {"item": "tea"})
    await desk.arrived.wait()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(client, run))
        await listening(running)
        correlation = run.partition(":")[0]
        other = Piece("token", f"{correlation}:clumsy", text="not mine", provisional=True)
        running.engine.services.releases.tell(correlation, other)
        desk.gate.set()
    assert "not mine" not in [data.get("text") for _, data in following.result()]


async def test_a_listener_who_reads_too_slowly_loses_tokens_and_nothing_else(client, desk, running):
    run = await begun(client, "patient", {"item": "tea"})
    await desk.arrived.wait()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(client, run))
        await listening(running)
        correlation = run.partition(":")[0]
        for number in range(PIECES_MAX + 10):
            piece = Piece("token", run, text=str(number), provisional=True)
            running.engine.services.releases.tell(correlation, piece)
        desk.gate.set()
    kinds = [kind for kind, _ in following.result()]
    assert (kinds[:2], kinds[-1]) == (["step", "lagged"], "succeeded")


async def test_a_quiet_stream_says_now_and_then_that_it_is_alive(running, desk):
    async with client_to(web_app(running, keep_alive_s=0.001)) as client:
        run = await begun(client, "patient", {"item": "tea"})
        await desk.arrived.wait()

        async def ended_after_three_signs():
            listener = await one_listener(running)
            signs, tell = 0, listener.tell

            def counted(piece):
                nonlocal signs
                signs += piece.kind == "alive"
                if signs == 3:
                    desk.gate.set()
                tell(piece)

            listener.tell = counted

        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(client.get(f"/v1/runs/{run}/events"))
            tasks.create_task(ended_after_three_signs())
        assert following.result().text.count(": alive\n\n") >= 3
        assert told(following.result().text)[-1][0] == "succeeded"


async def one_listener(running):
    await listening(running)
    (listeners,) = running.engine.services.releases._listeners.values()
    return listeners[0]


async def test_streams_end_when_the_server_is_about_to_stop(running, desk):
    api = web_app(running)
    async with client_to(api) as client:
        run = await begun(client, "patient", {"item": "tea"})
        await desk.arrived.wait()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(followed(client, run))
            await listening(running)
            let_go(api)
        assert [kind for kind, _ in following.result()] == ["step"]
        assert [kind for kind, _ in await followed(client, run)] == ["step"]


async def test_a_stream_says_so_when_the_app_cannot_go_on(client, desk, running):
    from penstock.errors import Fenced

    run = await begun(client, "patient", {"item": "tea"})
    await desk.arrived.wait()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(followed(client, run))
        await listening(running)
        running.engine.services.releases.broken(Fenced("desk", 1))
    kind, document = following.result()[-1]
    assert (kind, document["type"], document["status"]) == ("problem", "urn:penstock:unavailable", 503)


async def test_too_many_streams_are_refused_for_now(running, desk):
    api = web_app(running)
    async with client_to(api) as client:
        run = await begun(client, "patient", {"item": "tea"})
        api.state.visits._streams.update(range(STREAMS_MAX))
        response = await client.get(f"/v1/runs/{run}/events")
        problem(response, 429, "limit-reached")
        assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("text", ["two\nlines", "\r\n\r\nevent: succeeded", "\u2028"])
async def test_no_text_breaks_out_of_its_field(client, text):
    response = await client.post("/v1/agents/answer", json={"session_id": "s1", "text": text})
    assert (await followed(client, response.json()["run_id"]))[-1][1]["result"]["text"] == text.upper()
    assert msgspec.json.encode(text).count(b"\n") == 0
