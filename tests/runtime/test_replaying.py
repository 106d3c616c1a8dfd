"""A stretch of history is replayed against other code and models, and nothing is changed by that (C8)."""

from collections import Counter

import pytest

from penstock import App, Context, Event, Retry
from penstock.adapters.memory.store import Disk, MemoryStore
from penstock.core.agents.comparing import tally
from penstock.errors import Invalid, Missing
from penstock.runtime.replaying import Stretch
from penstock.settings import Settings
from penstock.testing.scripted_model import ScriptedModel


class Order(Event, key="customer"):
    customer: str
    number: int


class Paid(Event, key="customer"):
    customer: str
    text: str


def shop(calls, *, model="plain", words="paid", more=False, strict=False):
    """Return an app, as it is written at some time."""
    app = App("shop")
    app.model("default", ScriptedModel([model] * 99))

    def charge(number: int) -> int:
        calls["charge"] += 1
        return number * 10

    def look(number: int) -> int:
        calls["look"] += 1
        return number

    @app.agent(retry=Retry(attempts_max=1))
    async def pay(order: Order, ctx: Context) -> Paid:
        if order.number == 3 or (strict and order.number == 2):
            raise ValueError("no such order")
        await ctx.read("look", look, order.number)
        charged = await ctx.step("charge", charge, order.number)
        if more and order.number == 1:
            await ctx.step("insure", charge, order.number)
        said = await ctx.model().ask("how is it?")
        count = (await ctx.values.get("count", 0)) + 1
        await ctx.values.set("count", count)
        return Paid(customer=order.customer, text=f"{words} {charged} {said.text} {count}")

    @app.agent(batch=5)
    async def log(orders: list[Order]) -> None:
        return None

    return app


@pytest.fixture
async def history(tmp_path):
    """What the first version of the app left."""
    async with shop(Counter()).running(store=f"sqlite:{tmp_path / 'shop.db'}") as live:
        for number in (1, 2, 3, 4):
            await live.send(Order(customer="a", number=number), id=f"o{number}")
        assert await live.engine.settled(10)
        yield live.engine.parts.store


async def replayed(app, history, **stretch):
    which = Stretch("order", **{"agent": "pay", **stretch})
    return {each.run_id: each async for each in app.replay(history, which)}


def outcomes(verdicts):
    return {run.partition(":")[0]: each.outcome for run, each in verdicts.items()}


async def test_c8_the_same_code_goes_the_same_way_and_nothing_happens_again(history):
    calls = Counter()
    before = [each.position for each in await history.origin("o1")]
    verdicts = await replayed(shop(calls, model="never asked"), history)
    assert outcomes(verdicts) == dict.fromkeys(("o1", "o2", "o3", "o4"), "same")
    assert not calls
    assert [each.position for each in await history.origin("o1")] == before
    assert await history.read("penstock-again", 0, after=0, limit=1) == []


async def test_c8_other_code_is_told_by_what_it_returns_and_emits(history):
    verdicts = await replayed(shop(Counter(), words="settled"), history)
    assert outcomes(verdicts) == {"o1": "differs", "o2": "differs", "o3": "same", "o4": "differs"}
    first = verdicts["o1:pay"]
    assert first.where == ("result", "emitted")
    assert b"paid 10 plain 1" in first.before.result
    assert first.now.emitted == (("Paid.v1", "a", b'{"customer":"a","text":"settled 10 plain 1"}'),)


async def test_c8_another_model_answers_when_reads_are_fresh_and_effects_stay_recorded(history):
    calls = Counter()
    verdicts = await replayed(shop(calls, model="odd"), history, fresh_reads=True)
    assert verdicts["o2:pay"].now.result == b'{"customer":"a","text":"paid 20 odd 2"}'
    assert calls == {"look": 3}


async def test_c8_an_effect_that_was_never_recorded_is_not_executed(history):
    calls = Counter()
    verdicts = await replayed(shop(calls, more=True), history)
    assert outcomes(verdicts)["o1"] == "needs effect"
    assert verdicts["o1:pay"].where == ("insure#0",)
    assert not calls


async def test_c8_a_run_that_fails_now_is_told_from_one_that_always_did(history):
    verdicts = await replayed(shop(Counter(), strict=True), history)
    assert outcomes(verdicts)["o2"] == "failed"
    assert outcomes(verdicts)["o3"] == "same"
    assert "no such order" in verdicts["o2:pay"].note


async def test_c8_a_part_of_a_topic_says_what_is_not_there(history):
    verdicts = await replayed(shop(Counter()), history, first=2, last=3)
    assert outcomes(verdicts) == {"o2": "differs", "o3": "same"}
    assert verdicts["o2:pay"].note == "what its session and values held before the stretch is not there"


async def test_a_replay_does_not_go_over_the_broker_of_the_settings(history):
    chosen = Settings(log="kafka://127.0.0.1:1")  # nobody is there
    verdicts = [each async for each in shop(Counter()).replay(history, Stretch("order", agent="pay"), chosen)]
    assert {each.outcome for each in verdicts} == {"same"}


async def test_what_cannot_be_replayed_is_skipped_or_refused(history):
    app = shop(Counter())
    assert tally([each async for each in app.replay(history, Stretch("order"))]) == {"same": 4, "skipped": 4}
    with pytest.raises(Invalid, match="topic"):
        [each async for each in app.replay(history, Stretch("orders", 9, 3))]
    with pytest.raises(Missing, match="pay, log"):
        await replayed(app, history, agent="pya")


async def test_c8_it_works_on_any_history():
    disk = Disk()
    assert [each async for each in shop(Counter()).replay(MemoryStore(disk), Stretch("order"))] == []
