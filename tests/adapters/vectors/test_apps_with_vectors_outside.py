"""An app whose vectors lie outside of its store: put, search, delete, restart, build anew; the same on each engine."""

import json
import secrets

import pytest
from typer.testing import CliRunner

from penstock import App
from penstock.cli import app as cli
from penstock.core.knowledge.filters import parse_filter
from penstock.core.knowledge.passages import Passage

pytestmark = pytest.mark.timeout(180)  # whoever comes first starts the servers, on a busy machine too

PASSAGES = [
    Passage("valves", "The main valve is closed by hand.", {"lang": "en", "year": "2019"}),
    Passage("gates", "The gates open in spring.", {"lang": "en", "year": "2021"}),
    Passage("tore", "The lock keeper opens the doors.", {"lang": "de"}),
]


@pytest.fixture(params=["qdrant", "milvus", "milvus-lite", "usearch"])
def vectors(request, tmp_path, monkeypatch):
    """The address of an engine, as the setting has it."""
    prefix = f"t{secrets.token_hex(6)}"
    match request.param:
        case "qdrant":
            server = request.getfixturevalue("qdrant")
            monkeypatch.setenv("QDRANT_API_KEY", server.key)
            return f"{server.url}?prefix={prefix}"
        case "milvus":
            return f"{request.getfixturevalue('milvus')}?prefix={prefix}"
        case "milvus-lite":
            return f"milvus:{tmp_path}/vectors.db"
        case _:
            return f"usearch:{tmp_path}/vectors"


def running(tmp_path, vectors):
    app = App("outside")
    app.knowledge("handbook")
    return app.running(store=f"sqlite:{tmp_path}/outside.db", vectors=vectors)


async def ids(handbook, text, **how):
    return [each.id for each in await handbook.search(text, **how)]


async def test_an_app_lives_with_its_vectors_outside(tmp_path, vectors):
    async with running(tmp_path, vectors) as live:
        handbook, others = live.knowledge("handbook"), live.knowledge("handbook", tenant="other")
        await handbook.put(PASSAGES, consistency="strong")
        await others.put(Passage("valves", "The main valve of others."), consistency="strong")
        assert await ids(handbook, "close the valve", limit=1) == ["valves"]
        assert set(await ids(handbook, "close the valve", mode="vectors")) == {"valves", "gates", "tore"}
        late = parse_filter({"lang": "en", "year": {"gte": 2020}})
        assert await ids(handbook, "the valve", mode="vectors", filter=late) == ["gates"]
        await handbook.delete(documents=["gates", "valves"], consistency="strong")
        assert await ids(handbook, "valve", mode="vectors") == ["tore"]
        assert [each.text for each in await others.search("valve", mode="vectors")] == ["The main valve of others."]
        await handbook.put(PASSAGES[:1], consistency="strong")
        assert (await handbook.search("valve"))[0].degraded == ""
    async with running(tmp_path, vectors) as live:
        handbook = live.knowledge("handbook")
        before = await handbook.search("close the valve", mode="vectors")
        assert [each.id for each in before] == ["valves", "tore"]
        number = await handbook.generations.build(switch=True)
        assert (await handbook.generations.ready(number)).generation.status == "serving"
        after = await handbook.search("close the valve", mode="vectors")
        assert after == before
        assert after[0].generation == number != before[0].generation
        assert await handbook.generations.roll_back() == before[0].generation
        assert await handbook.search("close the valve", mode="vectors") == before
        assert await ids(live.knowledge("handbook", tenant="other"), "valve") == ["valves"]


def test_the_command_line_works_with_vectors_outside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_VECTORS", f"usearch:{tmp_path}/vectors")
    (tmp_path / "valves.md").write_text("# Valves\n\nThe main valve is closed by hand.\n")
    (tmp_path / "gates.md").write_text("# Gates\n\nThe gates open in spring.\n")

    def said(*arguments):
        done = CliRunner().invoke(cli, ["knowledge", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    said("put", "valves.md", "gates.md")
    found = json.loads(said("search", "close the valve", "--mode", "vectors", "--json"))
    assert "valves.md" in json.dumps(found)
    said("verify")
    said("rebuild")
    said("delete", "valves.md")
    assert "valves.md" not in said("search", "close the valve", "--mode", "vectors")
    assert "gates.md" in said("search", "gates", "--mode", "vectors")
    assert (tmp_path / "vectors" / "passages.db").exists()


WRITES = 20


async def test_what_a_strong_write_returned_from_is_found_by_the_very_next_search(tmp_path, vectors):
    """No search misses what was written, changed or removed just before it: by vectors, which lie outside."""
    async with running(tmp_path, vectors) as live:
        handbook = live.knowledge("handbook")
        for number in range(WRITES):
            name = f"gate-{number}"
            await handbook.put(Passage(name, f"Gate number {number} opens in spring."), consistency="strong")
            ours = {"limit": WRITES, "mode": "vectors"}
            assert name in await ids(handbook, f"gate number {number}", **ours)
            await handbook.put(Passage(name, "It is a valve.", {"now": str(number)}), consistency="strong")
            (changed,) = await handbook.search("a valve", filter={"now": number}, **ours)
            assert (changed.id, changed.text) == (name, "It is a valve.")
            if number % 3 == 0:
                await handbook.delete([name], consistency="strong")
                assert name not in await ids(handbook, "a valve", **ours)
