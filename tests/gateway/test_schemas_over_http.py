"""The registry over HTTP, as a client of Confluent's would use it."""

import json

import pytest
from desk import client_of, problem

from penstock import App

FIRST = json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]})
BROKEN = json.dumps({"type": "record", "name": "R", "fields": [{"name": "b", "type": "int"}]})
BASE = "/v1/registry"


@pytest.fixture
async def registry():
    app = App("shop")
    app.schemas()
    async with app.running(store="memory:") as running, client_of(running) as client:
        yield client


async def test_a_schema_is_registered_found_and_compared(registry):
    assert (await registry.post(f"{BASE}/subjects/a-value/versions", json={"schema": FIRST})).json() == {"id": 1}
    assert (await registry.get(f"{BASE}/subjects")).json() == ["a-value"]
    assert (await registry.get(f"{BASE}/subjects/a-value/versions")).json() == [1]
    shown = {"subject": "a-value", "version": 1, "id": 1, "schema": FIRST}
    assert (await registry.get(f"{BASE}/subjects/a-value/versions/latest")).json() == shown
    assert (await registry.post(f"{BASE}/subjects/a-value", json={"schema": FIRST})).json() == shown
    assert (await registry.get(f"{BASE}/schemas/ids/1")).json() == {"schema": FIRST}
    path = f"{BASE}/compatibility/subjects/a-value/versions/latest"
    assert (await registry.post(path, json={"schema": FIRST})).json() == {"is_compatible": True, "messages": []}
    assert (await registry.post(path, json={"schema": BROKEN})).json()["is_compatible"] is False


async def test_the_compatibility_is_chosen_for_all_or_one(registry):
    assert (await registry.get(f"{BASE}/config")).json() == {"compatibilityLevel": "BACKWARD"}
    await registry.put(f"{BASE}/config", json={"compatibility": "FULL"})
    await registry.put(f"{BASE}/config/a", json={"compatibility": "NONE"})
    assert (await registry.get(f"{BASE}/config/a")).json() == {"compatibilityLevel": "NONE"}
    assert (await registry.delete(f"{BASE}/config/a")).status_code == 204
    assert (await registry.get(f"{BASE}/config/a")).json() == {"compatibilityLevel": "FULL"}


async def test_what_is_wrong_is_a_problem_with_findings(registry):
    await registry.post(f"{BASE}/subjects/a/versions", json={"schema": FIRST})
    bad = await registry.post(f"{BASE}/subjects/a/versions", json={"schema": BROKEN})
    assert problem(bad, 422, "invalid")["findings"][0]["path"] == "/fields/0"
    problem(await registry.post(f"{BASE}/subjects/a/versions", json={"schema": "{"}), 422, "invalid")
    problem(await registry.get(f"{BASE}/subjects/b/versions"), 404, "missing")
    problem(await registry.get(f"{BASE}/subjects/a/versions/odd"), 422, "invalid")
    problem(await registry.put(f"{BASE}/config", json={"compatibility": "ODD"}), 422, "invalid")
