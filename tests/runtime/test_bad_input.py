"""What cannot work is refused at once, with what to do."""

import pytest

from penstock import App, Context, Event, Passage
from penstock.errors import Invalid, LimitReached, Missing, Refused, RunFailed


class Asked(Event, key="who"):
    who: str


class Told(Event, key="who"):
    who: str


class Lonely(Event):
    text: str


app = App("careful")
library = app.knowledge("library")


@app.agent
async def tell(asked: Asked, ctx: Context) -> Told:
    if asked.who == "liar":
        return {"who": "liar"}  # not what the annotation says
    if asked.who == "thief":
        raise ValueError("caught")
    return Told(who=asked.who)


@pytest.fixture
async def live():
    async with app.running(store="memory:") as running:
        yield running


async def test_a_key_that_is_no_field_is_found_when_the_class_is_made():
    with pytest.raises(Invalid, match="'sku' is not a field"):

        class Shipped(Event, key="sku"):
            order: str


async def test_asking_what_nobody_takes_is_refused_at_once(live):
    with pytest.raises(Refused, match=r"no agent of this app takes Lonely\.v1"):
        await live.ask(Lonely(text="x"), Told)


async def test_asking_for_something_that_is_no_event_names_the_other_way(live):
    with pytest.raises(Refused, match="use call"):
        await live.ask(Asked(who="ada"), str)


async def test_what_is_no_event_cannot_be_sent(live):
    with pytest.raises(Refused, match="dict is no event"):
        await live.send({"who": "ada"})


async def test_a_result_that_is_not_as_annotated_fails_the_run_and_says_so(live):
    with pytest.raises(RunFailed, match="returned dict, and is annotated to return Told"):
        await live.ask(Asked(who="liar"), Told, within_s=5)


async def test_a_failure_names_the_line_of_the_users_code(live):
    with pytest.raises(RunFailed, match=r"ValueError: caught \[test_bad_input\.py:\d+\]"):
        await live.ask(Asked(who="thief"), Told, within_s=30)


async def test_an_agent_that_is_not_there_is_named_with_those_that_are(live):
    with pytest.raises(Missing, match="this app has tell"):
        await live.call("nobody", Asked(who="ada"))


async def test_a_collection_that_is_not_declared_is_missing(live):
    with pytest.raises(Missing, match="declare it"):
        live.knowledge("nothing")


@pytest.mark.parametrize(("mode", "limit", "error"), [("foo", 5, Invalid), ("words", 0, LimitReached)])
async def test_a_search_that_makes_no_sense_is_refused(live, mode, limit, error):
    with pytest.raises(error):
        await live.knowledge("library").search("x", mode=mode, limit=limit)


@pytest.mark.parametrize("passage", ["text", Passage("a", "text", {"kind": 3})])
async def test_what_is_no_passage_is_refused_with_findings(live, passage):
    with pytest.raises(Invalid):
        await live.knowledge("library").put([passage])


async def test_half_a_character_in_a_key_is_refused_and_the_app_goes_on(live):
    with pytest.raises(Refused, match="is not text"):
        await live.send(Asked(who="ada"), key="\ud800")
    assert (await live.ask(Asked(who="ada"), Told, within_s=5)).who == "ada"


async def test_an_event_that_is_too_large_is_refused_and_the_app_goes_on(live):
    with pytest.raises(LimitReached, match="in bytes"):
        await live.send(Asked(who="x" * 2_000_000))
    assert (await live.ask(Asked(who="ada"), Told, within_s=5)).who == "ada"


async def test_another_embedder_than_a_collection_was_indexed_with_is_refused(tmp_path):
    store = f"sqlite:{tmp_path / 'a.db'}"
    async with app.running(store=store) as live:
        await live.knowledge("library").put([Passage("a", "a text about water")])
        await live.knowledge("library").indexed()
    with pytest.raises(Invalid, match="was indexed with static"):
        async with app.running(store=store, embedder="minilm"):
            raise AssertionError


async def test_a_setting_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(Invalid, match="stroe: is not a setting"):
        async with app.running(stroe="memory:"):
            raise AssertionError


async def test_an_agent_with_a_name_of_penstocks_own_is_refused():
    other = App("other")

    @other.agent(name="indexer")
    async def mine(asked: Asked) -> None:
        return None

    with pytest.raises(Invalid, match="penstock's own"):
        async with other.running(store="memory:"):
            raise AssertionError
