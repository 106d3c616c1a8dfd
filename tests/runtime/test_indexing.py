"""Documents become passages: what changed is embedded, what is gone is removed, one bad event harms itself alone."""

import numpy as np
import pytest

from penstock import App, Document, KnowledgeEvent, Passage, testing
from penstock.adapters.embedders.static import open_static_embedder
from penstock.errors import Invalid, RunFailed, TimedOut, Unavailable
from penstock.testing import Disk
from penstock.testing.fixtures import anyio_backend

__all__ = ["anyio_backend"]

PARTS = {name: f"# {name}\n\n" + f"{name} " * 150 for name in ("alpha", "beta", "gamma")}


class Counting:
    """An embedder that notes what it embeds, and fails at one word."""

    def __init__(self, name="counting", poison="poison"):
        self._real = open_static_embedder()
        self.name, self.dims = name, self._real.dims
        self.texts, self.poison, self.silent = [], poison, False

    async def embed(self, texts, *, purpose="passage"):
        if self.silent:
            raise Unavailable("the embedder", "embed")
        if any(self.poison in text for text in texts):
            raise RuntimeError("this text cannot be embedded")
        if purpose == "passage":
            self.texts += texts
        rows = await self._real.embed(texts, purpose=purpose)
        if any("infinite" in text for text in texts):
            rows = np.full_like(rows, np.inf)
        return rows


@pytest.fixture
def embedder():
    return Counting()


@pytest.fixture
def app(embedder):
    made = App("library")
    made.knowledge("books")
    made.embedder("static", embedder)
    return made


def whole(**changed):
    return Document("guide.md", "Guide", "\n\n".join({**PARTS, **changed}.values()))


async def ids(live):
    return sorted(await live.knowledge("books").digests())


async def test_a_change_of_one_section_embeds_that_one_alone(app, embedder):
    async with testing.app(app) as live:
        books = live.knowledge("books")
        await books.put(whole(), consistency="strong")
        before = await books.digests()
        assert len(before) == 3
        embedder.texts.clear()
        await books.put(whole(beta="# beta\n\n" + "other " * 150), consistency="strong")
        after = await books.digests()
        assert len(embedder.texts) == 1
        assert before.keys() == after.keys()
        assert sum(before[each] != after[each] for each in before) == 1
        assert books.indexing().kept == 2


async def test_what_is_gone_from_a_document_is_gone_from_the_index(app):
    async with testing.app(app) as live:
        books = live.knowledge("books")
        await books.put([whole(), Document("guide.md#2", "", "another document")], consistency="strong")
        assert len(await ids(live)) == 4
        await books.put(Document("guide.md", "Guide", "short now"), consistency="strong")
        assert await ids(live) == ["guide.md", "guide.md%232"]
        await books.delete(documents=["guide.md"], consistency="strong")
        assert await ids(live) == ["guide.md%232"]


async def test_versions_that_come_in_one_go_end_with_the_last(app):
    async with testing.app(app) as live:
        books = live.knowledge("books")
        for text in (whole(), Document("guide.md", "", "one"), whole(), Document("guide.md", "", "two")):
            await books.put(text, consistency="bulk")
        await books.refresh()
        assert (await books.passages(["guide.md"]))["guide.md"].text == "two"
        assert await ids(live) == ["guide.md"]


async def test_the_form_of_s0_says_which_document_in_its_metadata(app):
    s0 = {"event_id": "e1", "timestamp": 1, "agent_id": "a", "action": "CREATE", "payload": "water", "embedding": None}
    async with testing.app(app) as live:
        books = live.knowledge("books")
        named = {**s0, "metadata": {"document_id": "d", "lang": "en"}}
        await books.apply([KnowledgeEvent.checked(named)], consistency="strong")
        await books.apply([KnowledgeEvent.checked({**s0, "event_id": "e2", "metadata": {}})], consistency="strong")
        assert await ids(live) == ["d", "e2"]
        update = {**named, "event_id": "e3", "action": "UPDATE", "payload": "fire"}
        await books.apply([KnowledgeEvent.checked(update)], consistency="strong")
        assert (await books.passages(["d"]))["d"].text == "fire"
        # The same event again changes nothing.
        await books.apply([KnowledgeEvent.checked(named)], consistency="strong")
        assert (await books.passages(["d"]))["d"].text == "fire"
        gone = {**named, "event_id": "e4", "action": "DELETE", "payload": ""}
        await books.apply([KnowledgeEvent.checked(gone)], consistency="strong")
        assert await ids(live) == ["e2"]


async def test_an_update_that_names_no_document_is_a_dead_letter_that_says_so(app):
    async with testing.app(app) as live:
        event = KnowledgeEvent(agent_id="a", action="UPDATE", payload="x")
        with pytest.raises(RunFailed, match="document_id"):
            await live.knowledge("books").apply([event], consistency="strong")
        assert len(await live.dead_letters()) == 1


POISON = {
    "an embedder that raises": KnowledgeEvent(agent_id="a", action="CREATE", payload="poison", document_id="bad"),
    "an embedder that answers infinity": KnowledgeEvent(
        agent_id="a", action="CREATE", payload="infinite", document_id="bad"
    ),
    "a vector of another length": KnowledgeEvent(
        agent_id="a", action="CREATE", payload="x", document_id="bad", embedding=[1.0, 2.0]
    ),
    "a vector too large": KnowledgeEvent(
        agent_id="a", action="CREATE", payload="x", document_id="bad", embedding=[1e308] * 256
    ),
    "no such collection": KnowledgeEvent(agent_id="a", action="CREATE", payload="x", collection="films"),
    "an expiry that is no time": KnowledgeEvent(
        agent_id="a", action="CREATE", payload="x", document_id="bad", metadata={"expires_at": "soon"}
    ),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
async def test_one_bad_event_is_a_dead_letter_and_the_others_go_on(app, poison):
    async with testing.app(app) as live:
        books = live.knowledge("books")
        good = [Document(f"d{number}", "", f"text {number}") for number in range(20)]
        await books.put(good[:10], consistency="bulk")
        await live.engine.send(poison)
        await books.put(good[10:], consistency="bulk")
        await live.settled()
        assert len(await ids(live)) == 20
        (letter,) = await live.dead_letters()
        assert letter.agent == "indexer"


async def test_an_embedder_that_is_away_loses_nothing(app, embedder):
    async with testing.app(app) as live:
        embedder.silent = True
        await live.knowledge("books").put(Document("d", "", "water"))
        with pytest.raises(TimedOut):
            await live.knowledge("books").put(Document("e", "", "fire"), consistency="strong")
        embedder.silent = False
        await live.settled()
        assert await ids(live) == ["d", "e"]
        assert not await live.dead_letters()


async def test_what_is_embedded_once_is_not_embedded_again(app, embedder):
    async with testing.app(app) as live:
        books = live.knowledge("books")
        await books.put([Passage("a", "the same text"), Passage("b", "the same text")], consistency="strong")
        await books.put(Passage("c", "the same text", {"lang": "en"}), consistency="strong")
        assert len(embedder.texts) <= 3


async def test_a_token_waits_for_its_write_and_strong_needs_none(app):
    async with testing.app(app) as live:
        books = live.knowledge("books")
        written = await books.put(Passage("a", "a penstock brings water"))
        assert [each.id for each in await books.search("water", after=written)] == ["a"]
        written = await books.delete(["a"])
        assert await books.search("water", after=written.token) == []
        for bad in ("", "x", "k1", "k0-", "k0-1.", "k" + "9" * 30):
            with pytest.raises(Invalid):
                await books.search("water", after=bad)


async def test_a_passage_is_not_found_after_its_time_and_then_removed(app):
    async with testing.app(app) as live:
        books = live.knowledge("books")
        await books.put(Passage("a", "water for a while"), ttl_s=60, consistency="strong")
        await books.put(Document("d", "", "water for longer"), ttl_s=3600, consistency="strong")
        await books.put(Passage("b", "water for ever"), consistency="strong")
        assert len(await books.search("water")) == 3
        await live.clock.sleep(61)
        assert {each.id for each in await books.search("water", limit=2)} == {"b", "d"}
        await live.settled()
        assert await ids(live) == ["b", "d"]
        # What is put again lives as long as it is said then.
        await books.put(Document("d", "", "water for ever too"), consistency="strong")
        await live.clock.sleep(3700)
        await live.settled()
        assert await ids(live) == ["b", "d"]


async def test_what_expired_while_no_app_ran_is_removed_at_the_start(app):
    disk = Disk()
    async with testing.app(app, disk=disk) as live:
        await live.knowledge("books").put(Passage("a", "water"), ttl_s=60, consistency="strong")
    async with testing.app(app, disk=disk) as live:
        await live.clock.sleep(120)
        await live.settled()
        assert await ids(live) == []


@pytest.mark.parametrize("given", [{"ttl_s": 0}, {"ttl_s": -1}, {"ttl_s": float("nan")}, {"consistency": "odd"}])
async def test_what_is_wrong_with_a_write_is_said(app, given):
    async with testing.app(app) as live:
        with pytest.raises(Invalid):
            await live.knowledge("books").put(Passage("a", "x"), **given)


async def test_a_generation_that_is_built_from_the_log_has_the_same_passages_of_documents(app):
    s0 = {"agent_id": "a", "action": "CREATE", "payload": "water", "metadata": {"document_id": "d"}}
    app.embedder("two", Counting("two"))
    async with testing.app(app) as live:
        books = live.knowledge("books")
        await books.put([whole(), Document("gone", "", "text"), Passage("a", "text")], consistency="strong")
        await books.put(whole(beta="# beta\n\nshort"), consistency="strong")
        await live.engine.send(KnowledgeEvent.checked(s0))
        await books.delete(documents=["gone"], consistency="strong")
        await books.put(Passage("b", "for a while"), ttl_s=60, consistency="strong")
        await live.clock.sleep(61)
        await live.settled()
        before = await books.digests()
        number = await books.generations.build("two")
        await books.generations.ready(number)
        await books.generations.switch(number)
        assert await books.digests() == before
        assert len(before) == 5
        await books.put(whole(), consistency="strong")
        assert len(await ids(live)) == 5
        assert {each.id for each in await books.search("water", as_of=1)} <= {
            "guide.md#alpha",
            "guide.md#beta",
            "guide.md#gamma",
        }


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"metadata": {"document_id": "d", "expires_at": "soon"}}, "expires_at"),
        ({"metadata": {"document_id": "d", "expires_at": "-5"}}, "expires_at"),
        ({"document_id": "d", "expires_ms": 10**18}, "expires_at"),
        ({"document_id": "d", "embedding": [1.0, -1e39]}, "embedding"),
    ],
)
async def test_what_the_indexer_could_only_give_up_on_is_refused_at_the_door(app, event, path):
    bad = KnowledgeEvent.checked({"agent_id": "a", "action": "CREATE", "payload": "water", **event})
    async with testing.app(app) as live:
        books = live.knowledge("books")
        with pytest.raises(Invalid) as raised:
            await books.apply([whole_event(), bad])
        assert [each.path for each in raised.value.findings] == [f"[1].{path}"]
        assert await ids(live) == []
        assert not await live.dead_letters()


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_vector_with_what_is_no_number_is_no_event(odd):
    with pytest.raises(Invalid, match=r"embedding\.1"):
        KnowledgeEvent.checked({"agent_id": "a", "action": "CREATE", "payload": "w", "embedding": [1.0, odd]})


def whole_event():
    return KnowledgeEvent(agent_id="a", action="CREATE", payload="water", document_id="w")


async def test_passages_with_an_impossible_expiry_are_refused_at_the_door(app):
    bad = {"expires_at": "tomorrow"}
    async with testing.app(app) as live:
        for each in (Passage("a", "x", bad), Document("d", "", "x", bad)):
            with pytest.raises(Invalid, match="expires_at"):
                await live.knowledge("books").put(each)
