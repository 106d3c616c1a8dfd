import re

from desk import client_of, problem

import penstock
from penstock import App, Event


async def test_the_app_is_healthy_and_says_how_much_is_durable(client):
    before = (await client.get("/healthz")).json()
    assert (before["status"], before["app"], before["version"]) == ("ok", "desk", penstock.__version__)
    await client.post("/v1/agents/answer", json={"session_id": "s", "text": "a"})
    assert (await client.get("/healthz")).json()["durable"] > before["durable"]


async def test_the_page_describes_each_agent_with_what_it_takes(client):
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/agents/answer"]["post"]
    assert operation["description"].startswith("Answer a question, in capitals.\n\n")
    for path in ("answer", "patient", "either"):
        said = document["paths"][f"/v1/agents/{path}"]["post"]["description"]
        assert "The event is appended, and every agent that takes it handles it" in said
        assert "the answer is this agent's result" in said
    assert "/v1/events" in document["paths"]["/v1/agents/many"]["post"]["description"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Question.v1"}
    question = document["components"]["schemas"]["Question.v1"]
    assert set(question["properties"]) == {"session_id", "text"}
    several = document["paths"]["/v1/agents/either"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert len(several["oneOf"]) == 2
    assert {"200", "202", "404", "409", "413", "415", "422", "429", "503"} == set(operation["responses"])


async def test_the_page_is_there_and_loads_nothing_from_elsewhere(client):
    page = await client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"https?://|<link|<img|@import|\bsrc=|innerHTML", page.text)
    assert "openapi.json" in page.text


async def test_the_door_leads_to_the_page(client):
    door = await client.get("/")
    assert (door.status_code, door.headers["location"]) == (307, "docs")
    assert (await client.get("/", follow_redirects=True)).url.path == "/docs"


async def test_the_agents_are_listed_with_what_they_take_and_return(client):
    agents = {each["name"]: each for each in (await client.get("/v1/agents")).json()["agents"]}
    assert list(agents) == ["answer", "patient", "grumpy", "clumsy", "either", "many"]
    answer = agents["answer"]
    assert (answer["about"], answer["kind"], answer["emits"]) == (
        "Answer a question, in capitals.",
        "agent",
        ["Answer.v1"],
    )
    (taken,) = answer["takes"]
    assert taken["type"] == "Question.v1"
    assert set(taken["json_schema"]["properties"]) == {"session_id", "text"}
    assert answer["returns"]["title"] == "Answer"
    assert [each["type"] for each in agents["either"]["takes"]] == ["Question.v1", "Order.v1"]
    assert (agents["patient"]["returns"], agents["many"]["batch"]) == ({"type": "string"}, 10)


async def test_an_agent_that_returns_what_has_no_schema_is_listed_too():
    class Odd:
        pass

    class Asked(Event):
        pass

    app = App("odd")

    async def odd(asked, ctx):
        return None

    odd.__annotations__ = {"asked": Asked, "return": Odd}
    app.agent(odd)
    async with app.running(store="memory:") as running, client_of(running) as client:
        (agent,) = (await client.get("/v1/agents")).json()["agents"]
    assert agent["returns"] is None


async def test_every_reference_of_the_page_leads_somewhere(client):
    document = (await client.get("/openapi.json")).json()
    assert document == (await client.get("/openapi.json")).json()

    def references(part):
        match part:
            case {"$ref": str(to)}:
                yield to
            case dict():
                for each in part.values():
                    yield from references(each)
            case list():
                for each in part:
                    yield from references(each)

    found = set(references(document))
    assert found
    assert {
        each for each in found if each.removeprefix("#/components/schemas/") not in document["components"]["schemas"]
    } == set()


async def test_a_bug_is_answered_without_its_secrets(client, running):
    async def broken(*_):
        raise ZeroDivisionError("the password is swordfish")

    running.engine.parts.store._inner.runs = broken
    document = problem(await client.get("/v1/runs"), 500, "failed")
    assert "swordfish" not in document["detail"]
    assert "ZeroDivisionError" in document["detail"]
