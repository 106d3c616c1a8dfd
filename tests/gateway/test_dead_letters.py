from desk import problem

ACME = {"X-Tenant": "acme"}
BOOM = {"session_id": "s1", "text": "boom"}


async def died(client, tenant="default"):
    """Have an agent give up on an event, and return the id of its run."""
    response = await client.post("/v1/agents/grumpy", json=BOOM, headers={"X-Tenant": tenant})
    return response.json()["run_id"]


async def letters(client, **filters):
    return [each["run_id"] for each in (await client.get("/v1/dead-letters", params=filters)).json()["dead_letters"]]


async def test_dead_letters_are_filtered_and_shown_whole(client):
    run = await died(client)
    assert await letters(client, agent="grumpy", reason="NO MOOD", since_ms=1) == [run]
    assert await letters(client, agent="answer") == []
    shown = (await client.get(f"/v1/dead-letters/{run}")).json()
    assert (shown["event"]["data"], shown["steps"], shown["causes"]) == (BOOM, [], [])
    problem(await client.get(f"/v1/dead-letters/{run}", headers=ACME), 404, "missing")


async def test_a_letter_is_redriven_with_an_edited_event(client, running):
    run = await died(client)
    wrong = {"runs": [run], "event": {"session_id": "s1", "txt": "fine"}}
    assert "txt" in str(problem(await client.post("/v1/dead-letters/redrive", json=wrong), 422, "invalid")["findings"])
    edited = {"runs": [run], "event": {"session_id": "s1", "text": "fine"}, "by": "ann"}
    response = await client.post("/v1/dead-letters/redrive", json=edited)
    assert response.status_code == 202
    (new,) = response.json()["runs"]
    assert await running.engine.settled(10)
    assert (await client.get(f"/v1/runs/{new}")).json()["status"] == "succeeded"
    assert await letters(client) == []


async def test_all_letters_of_a_tenant_are_redriven_or_dropped_and_no_other_ones(client, running):
    mine, theirs = await died(client), await died(client, "acme")
    response = await client.post("/v1/dead-letters/redrive", json={"filter": {}})
    assert response.json() == {"runs": [mine]}
    assert await running.engine.settled(10)
    assert await letters(client) == [mine], "it died again"
    problem(await client.post("/v1/dead-letters/drop", json={"runs": [theirs]}), 404, "missing")
    dropped = {"filter": {"agent": "grumpy"}, "by": "ann", "why": "no use"}
    assert (await client.post("/v1/dead-letters/drop", json=dropped)).json() == {"runs": [mine]}
    assert await running.engine.settled(10)
    assert await letters(client) == []
    assert (await client.get(f"/v1/runs/{mine}")).json()["reason"].startswith("dropped by ann: no use")
    assert len(await running.dead_letters()) == 1


async def test_what_is_meant_is_said_once(client):
    run = await died(client)
    for asked in ({}, {"runs": [run], "filter": {}}, {"filter": {"agnet": "x"}}, {"runs": [run], "fresch": True}):
        problem(await client.post("/v1/dead-letters/redrive", json=asked), 422, "invalid")
    assert await letters(client) == [run]


async def test_a_run_is_forked(client, running, desk):
    asked = await client.post("/v1/agents/answer", json={"session_id": "s1", "text": "why?"})
    run = asked.json()["run_id"]
    response = await client.post(f"/v1/runs/{run}/forks", json={"event": {"session_id": "s1", "text": "how?"}})
    assert response.status_code == 202
    assert await running.engine.settled(10)
    forked = (await client.get(f"/v1/runs/{response.json()['run_id']}")).json()
    assert (forked["result"]["text"], desk.counted) == ("HOW?", 2)
    problem(await client.post(f"/v1/runs/{run}/forks", json={"at": "shout#1"}), 422, "invalid")
    problem(await client.post(f"/v1/runs/{run}/forks", json={}, headers=ACME), 404, "missing")
