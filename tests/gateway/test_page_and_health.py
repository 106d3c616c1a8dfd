from desk import problem

import penstock


async def test_the_app_is_healthy_and_says_how_much_is_durable(client):
    before = (await client.get("/healthz")).json()
    assert (before["status"], before["app"], before["version"]) == ("ok", "desk", penstock.__version__)
    await client.post("/v1/agents/answer", json={"session_id": "s", "text": "a"})
    assert (await client.get("/healthz")).json()["durable"] > before["durable"]


async def test_the_page_describes_each_agent_with_what_it_takes(client):
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/agents/answer"]["post"]
    assert operation["description"] == "Answer a question, in capitals."
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Question.v1"}
    question = document["components"]["schemas"]["Question.v1"]
    assert set(question["properties"]) == {"session_id", "text"}
    several = document["paths"]["/v1/agents/either"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert len(several["oneOf"]) == 2
    assert {"200", "202", "404", "409", "413", "415", "422", "429", "503"} == set(operation["responses"])
    assert (await client.get("/docs")).status_code == 200


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
