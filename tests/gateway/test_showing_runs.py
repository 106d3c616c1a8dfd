from desk import problem

ASK = {"session_id": "s1", "text": "why?"}
ACME = {"X-Tenant": "acme"}


async def run_id_of(client, agent, body, **headers):
    response = await client.post(f"/v1/agents/{agent}", json=body, headers=headers)
    return response.json()["run_id"]


async def test_a_run_is_shown_with_its_result_and_its_steps(client):
    run = await run_id_of(client, "answer", ASK)
    shown = (await client.get(f"/v1/runs/{run}")).json()
    assert (shown["agent"], shown["tenant"], shown["key"], shown["status"]) == ("answer", "default", "s1", "succeeded")
    assert shown["attempts"] == 1
    assert shown["result"] == {"session_id": "s1", "text": "WHY?"}
    assert [step["name"] for step in shown["steps"]] == ["shout#0"]
    assert shown["accepted_ms"] <= shown["steps"][0]["at_ms"] <= shown["at_ms"]
    assert shown["duration_ms"] >= 0
    assert (shown["reason"], shown["due_ms"]) == (None, None)


async def test_a_run_that_is_tried_again_says_why(client, desk):
    desk.gate.set()
    response = await client.post("/v1/agents/clumsy", json={"item": "Vase"})
    assert response.json()["result"] == "got it"
    shown = (await client.get(f"/v1/runs/{response.json()['run_id']}")).json()
    assert shown["attempts"] == 2


async def test_a_run_that_is_not_there_is_missing(client):
    run = await run_id_of(client, "answer", ASK)
    for wrong in ("nothing", "no:answer", run.replace("answer", "stranger"), run.replace("answer", "many")):
        problem(await client.get(f"/v1/runs/{wrong}"), 404, "missing")
        problem(await client.get(f"/v1/runs/{wrong}/events"), 404, "missing")


async def test_the_run_of_another_tenant_is_missing(client):
    run = await run_id_of(client, "answer", ASK, **ACME)
    theirs = await client.get(f"/v1/runs/{run}", headers=ACME)
    assert theirs.status_code == 200
    ours = problem(await client.get(f"/v1/runs/{run}"), 404, "missing")
    unknown = problem(await client.get("/v1/runs/x:answer"), 404, "missing")
    assert ours["detail"].replace(run, "") == unknown["detail"].replace("x:answer", "")
    problem(await client.get(f"/v1/runs/{run}/events"), 404, "missing")
    assert (await client.get("/v1/runs")).json() == {"runs": []}


async def test_a_run_under_way_of_another_tenant_is_missing(client, desk):
    response = await client.post("/v1/agents/patient?wait_s=0", json={"item": "tea"}, headers=ACME)
    await desk.arrived.wait()
    problem(await client.get(f"/v1/runs/{response.json()['run_id']}"), 404, "missing")


async def test_runs_are_listed_newest_first_and_by_agent_and_status(client):
    first = await run_id_of(client, "answer", ASK)
    bad = await run_id_of(client, "grumpy", {**ASK, "text": "boom"})
    last = await run_id_of(client, "answer", ASK)

    async def listed(query=""):
        response = await client.get(f"/v1/runs{query}")
        return [run["run_id"] for run in response.json()["runs"]]

    assert [run for run in await listed("?agent=answer") if run in (first, last)] == [last, first]
    assert await listed("?status=failed") == [bad]
    assert await listed("?agent=answer&limit=1") == [last]
    assert await listed("?agent=nobody") == []


async def test_a_list_is_asked_for_within_bounds(client):
    for query in ("limit=0", "limit=1001", "status=odd"):
        problem(await client.get(f"/v1/runs?{query}"), 422, "invalid")


async def test_dead_letters_hold_the_event_and_the_reason_and_stay_with_their_tenant(client):
    run = await run_id_of(client, "grumpy", {**ASK, "text": "boom"}, **ACME)
    (letter,) = (await client.get("/v1/dead-letters", headers=ACME)).json()["dead_letters"]
    assert (letter["run_id"], letter["agent"], letter["attempts"]) == (run, "grumpy", 1)
    assert letter["reason"].startswith("ValueError: no mood for that")
    assert letter["event"]["type"] == "Question.v1"
    assert letter["event"]["data"]["text"] == "boom"
    assert (await client.get("/v1/dead-letters")).json() == {"dead_letters": []}
