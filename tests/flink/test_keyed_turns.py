"""Keyed turns, without Flink: what is kept goes in, what is to be kept comes out, and it is what another host makes of it."""

import asyncio
from collections import Counter

import pytest
from keyed_driver import Driver, envelope
from shop_on_flink import Counted, Ordered, Reminded, app

from penstock import App, Context, Event, Retry, testing
from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import UNREADABLE, Message, Place, to_event
from penstock.errors import Invalid
from penstock.flink.keyed_state import Head, decoded, encoded, keyed_name, name_of
from penstock.flink.keyed_turns import OF_ONE_KEY_MAX, Kept
from penstock.testing.fixtures import anyio_backend

__all__ = ["anyio_backend"]

A = keyed_name("default", "a")


async def test_what_a_key_remembers_goes_from_turn_to_turn():
    async with Driver(app) as driver:
        for number in range(3):
            await driver.bring(Ordered(customer="a", number=number), f"e{number}")
        await driver.bring(Ordered(customer="b", number=9), "f")
    assert driver.data("counted") == [
        {"customer": "a", "number": 0, "count": 1, "heard": 1},
        {"customer": "a", "number": 2, "count": 2, "heard": 2},
        {"customer": "a", "number": 4, "count": 3, "heard": 3},
        {"customer": "b", "number": 18, "count": 1, "heard": 1},
    ]


async def test_another_process_goes_on_from_what_was_kept_of_a_key_c3():
    async with Driver(app) as driver:
        await driver.bring(Ordered(customer="a", number=1), "e1")
        await driver.restored(driver.kept)
        await driver.bring(Ordered(customer="a", number=2), "e2")
        assert driver.data("counted") == [{"customer": "a", "number": 4, "count": 2, "heard": 2}]


async def test_events_have_the_ids_that_another_host_gives_them():
    async with Driver(app) as driver:
        await driver.bring(Ordered(customer="a", number=1), "e1")
    async with testing.app(app) as live:
        await live.engine.send(Ordered(customer="a", number=1), id="e1")
        await live.settled()
        (local,) = [each.event for each in await live.engine.parts.store.read("counted", 0, after=0, limit=9)]
    (ours,) = driver.of("counted")
    assert (ours.id, ours.data, ours.source, ours.causation_id, ours.depth) == (
        local.id,
        local.data,
        local.source,
        local.causation_id,
        local.depth,
    )


async def test_an_event_that_comes_again_is_known_by_its_id():
    async with Driver(app) as driver:
        for _ in range(2):
            await driver.bring(Ordered(customer="a", number=1), "e1")
        await driver.restored(driver.kept)
        await driver.bring(Ordered(customer="a", number=1), "e1")
        assert driver.sent == []


async def test_tenants_with_one_key_remember_apart_c10():
    async with Driver(app) as driver:
        for tenant in ("left", "right"):
            await driver.bring(Ordered(customer="a", number=1), f"e-{tenant}", tenant=tenant)
    assert [
        (each.tenant, data["count"]) for each, data in zip(driver.of("counted"), driver.data("counted"), strict=True)
    ] == [
        ("left", 1),
        ("right", 1),
    ]


async def test_a_poisonous_event_is_tried_again_and_then_a_dead_letter_c6():
    async with Driver(app) as driver:
        await driver.bring(Ordered(customer="a", number=-1), "bad")
        await driver.bring(Ordered(customer="a", number=1), "good")
    (topic, message), *others = driver.sent
    headers = dict(message.headers)
    assert topic == "shop-dead-letters"
    assert headers["penstock-agent"] == b"count"
    assert headers["penstock-attempts"] == b"2"
    assert b"no order has this number" in headers["penstock-reason"]
    assert to_event(message, Place(topic, 0, 1)).id == "bad"
    assert [each for each, _ in others] == ["counted"]


async def test_a_message_that_is_no_event_is_a_dead_letter_with_its_bytes_c6():
    unreadable = to_event(Message(b"no JSON", b"k"), Place("ordered", 3, 7))
    assert unreadable.type == UNREADABLE
    async with Driver(app) as driver:
        turn = await driver.turns.handled("ordered", unreadable, Kept())
    ((topic, message),) = turn.sendings
    assert topic == "shop-dead-letters"
    assert b"headers" in dict(message.headers)["penstock-reason"]
    assert b"bm8gSlNPTg" in message.value  # "no JSON" as JSON has bytes


class Asked(Event, key="who", topic="asked"):
    who: str


class Told(Event, key="who", topic="told"):
    who: str
    parts: list[str] = []


def slow_app(gates: dict[str, asyncio.Event], called: Counter[str]) -> App:
    slow = App("slow", events=[Told])

    async def waited(who: str) -> str:
        called[f"second {who}"] += 1
        if who in gates:
            await gates[who].wait()
        return "second"

    def first(who: str) -> str:
        called[f"first {who}"] += 1
        return "first"

    @slow.agent
    async def tell(asked: Asked, ctx: Context) -> Told:
        one = await ctx.step("first", first, asked.who)
        return Told(who=asked.who, parts=[one, await ctx.step("second", waited, asked.who)])

    return slow


async def test_a_slow_handler_holds_up_its_own_key_alone_c2():
    gates = {"a": asyncio.Event()}
    async with Driver(slow_app(gates, Counter()), steps_wait=False) as driver:
        await driver.bring(Asked(who="a"), "a1", within_s=0.001)
        await driver.bring(Asked(who="a"), "a2", within_s=0.001)
        await driver.bring(Asked(who="b"), "b1")
        assert [each.key for each in driver.of("told")] == ["b"]
        gates["a"].set()
        await asyncio.sleep(1)
        await driver.look()
        assert [each.causation_id for each in driver.of("told")] == ["b1", "a1", "a2"]
        assert driver.look_at_ms == {}


async def test_what_was_under_way_at_a_checkpoint_goes_on_with_its_recorded_steps_c4():
    gates, called = {"a": asyncio.Event()}, Counter[str]()
    async with Driver(slow_app(gates, called), steps_wait=False) as driver:
        await driver.bring(Asked(who="a"), "a1", within_s=0.001)
        await driver.look(A, within_s=0.01)
        checkpoint = dict(driver.kept)
        await driver.restored(checkpoint)
        gates["a"].set()
        await driver.look(within_s=None)
        assert driver.data("told") == [{"who": "a", "parts": ["first", "second"]}]
        assert called == {"first a": 1, "second a": 2}


async def test_what_was_done_after_a_checkpoint_is_done_again_with_the_same_keys_and_ids_c4():
    keys: list[str] = []
    again = App("again", events=[Told])

    @again.agent
    async def tell(asked: Asked, ctx: Context) -> Told:
        key = ctx.idempotency_key("effect")
        await ctx.step("effect", keys.append, key)
        return Told(who=asked.who)

    async with Driver(again) as driver:
        checkpoint = dict(driver.kept)
        await driver.bring(Asked(who="a"), "a1")
        ids = [each.id for each in driver.of("told")]
        await driver.restored(checkpoint)
        await driver.bring(Asked(who="a"), "a1")
        assert [each.id for each in driver.of("told")] == ids
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_attempts_are_counted_over_a_death_and_a_wait_is_kept():
    tried: list[int] = []
    failing = App("failing")

    @failing.agent(retry=Retry(attempts_max=3, delay_s=60, delay_max_s=120))
    async def fail(asked: Asked, ctx: Context) -> None:
        tried.append(ctx.attempt)
        raise OSError("it is away")

    async with Driver(failing) as driver:
        await driver.bring(Asked(who="a"), "a1", within_s=1)
        await driver.restored(driver.kept)
        await driver.look(A, within_s=1)
        assert tried == [1]
        await driver.look(A, within_s=None)
        assert tried == [1, 2, 3]
        assert [topic for topic, _ in driver.sent] == ["failing-dead-letters"]


async def test_a_timer_fires_once_by_flinks_clock_and_moves_by_its_name_c11():
    reminding = App("reminding", events=[Reminded])

    @reminding.agent
    async def remind(order: Ordered, ctx: Context) -> None:
        if order.number < 0:
            ctx.cancel_timer("soon")
        else:
            ctx.emit(Reminded(customer=order.customer), after_s=order.number, timer="soon")

    async with Driver(reminding) as driver:
        for customer in "abc":
            await driver.bring(Ordered(customer=customer, number=60), f"{customer}1")
        await driver.bring(Ordered(customer="b", number=3600), "b2")
        await driver.bring(Ordered(customer="c", number=-1), "c2")
        await driver.restored(driver.kept)
        await asyncio.sleep(61)
        for _ in range(2):
            for customer in "abc":
                await driver.look(keyed_name("default", customer))
        assert [each.key for each in driver.of("reminded")] == ["a"]
        await asyncio.sleep(3600)
        await driver.look()
        assert [each.key for each in driver.of("reminded")] == ["a", "b"]
        assert driver.look_at_ms == {}


async def test_events_without_a_key_lie_in_a_few_buckets_and_go_beside_each_other():
    class Loose(Event, topic="loose"):
        text: str

    loose = App("loose")
    done: list[str] = []

    @loose.agent
    async def hear(event: Loose, ctx: Context) -> None:
        await ctx.values.set("text", event.text)
        done.append(event.text)

    async with Driver(loose) as driver:
        for number in range(600):
            await driver.bring(Loose(text=str(number)), f"e{number}")
        assert len(done) == 600
        assert len(driver.kept) <= 128
        assert all(kept.remembered is None for kept in driver.kept.values())


async def test_a_key_with_too_much_under_way_waits_in_kafka_c9():
    gates = {"a": asyncio.Event()}
    async with Driver(slow_app(gates, Counter()), steps_wait=False) as driver:
        for number in range(OF_ONE_KEY_MAX):
            await driver.bring(Asked(who="a"), f"a{number}", within_s=0.0)
        async with asyncio.TaskGroup() as group:
            one_more = group.create_task(driver.bring(Asked(who="a"), "more", within_s=None))
            await asyncio.sleep(1)
            assert not one_more.done()
            assert driver.turns.under_way == OF_ONE_KEY_MAX
            gates["a"].set()
        assert len(driver.of("told")) == OF_ONE_KEY_MAX + 1


async def test_a_person_cannot_be_asked_and_the_dead_letter_says_so():
    asking = App("asking")

    @asking.agent
    async def ask(asked: Asked, ctx: Context) -> None:
        await ctx.approval("May I?")

    async with Driver(asking) as driver:
        await driver.bring(Asked(who="a"), "a1")
    ((_, message),) = driver.sent
    assert b"no person can be asked on Flink" in dict(message.headers)["penstock-reason"]


async def test_an_event_larger_than_kafka_takes_is_refused_where_it_is_emitted_c9():
    large = App("large", events=[Told])

    @large.agent
    async def tell(asked: Asked) -> Told:
        return Told(who=asked.who, parts=["x" * 1_000_000])

    async with Driver(large) as driver:
        await driver.bring(Asked(who="a"), "a1")
    ((topic, message),) = driver.sent
    assert topic == "large-dead-letters"
    assert b"900000" in dict(message.headers)["penstock-reason"]


async def test_all_that_a_job_cannot_carry_is_said_at_once():
    much = App("much")
    much.knowledge("handbook")

    @much.agent(batch=10)
    async def many(orders: list[Ordered]) -> None: ...

    @much.agent(key="number")
    async def by_number(counted: Counted) -> None: ...

    @much.workflow
    async def flow(asked: Asked) -> None: ...

    with pytest.raises(Invalid) as caught:
        async with Driver(much):
            pass
    paths = [each.path for each in caught.value.findings]
    assert paths == ["agent 'many'.batch", "agent 'flow'", "knowledge 'handbook'", "by_number.key"]


def test_the_state_of_a_key_of_another_form_is_refused():
    body = encoded(Head(seen=b"12345678"))
    assert body is not None
    assert decoded(body, Head).seen == b"12345678"
    for broken in (b"\x02" + body[1:], body[:-3], b""):
        with pytest.raises(Invalid, match="state of a key"):
            decoded(broken, Head)


def test_names_of_keys_do_not_meet():
    events = [
        envelope(Ordered(customer=customer), "e", tenant=tenant) for tenant, customer in (("a", "b/c"), ("a/b", "c"))
    ]
    bare = Envelope("e", "/", "x", "", 0, b"{}", "a")
    assert len({name_of(each) for each in [*events, bare]}) == 3
