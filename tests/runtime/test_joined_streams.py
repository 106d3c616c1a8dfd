"""Streams of an app that are joined with each other: near in time, under one key, bounded, and exactly once."""

from contextlib import suppress

import pytest

from penstock import App, Event, Pair, Pane, Retry, StreamOptions, Tumbling
from penstock.core.streams.drawing import mermaid
from penstock.errors import Invalid
from penstock.runtime.write_points import WritePoint
from penstock.testing import apps
from penstock.testing.apps import Disk
from penstock.testing.crashing import NotReached
from penstock.testing.fixtures import anyio_backend

__all__ = ["anyio_backend"]
ONCE = StreamOptions(retry=Retry(attempts_max=1))


class Placed(Event, key="customer", topic="placed-orders"):
    customer: str
    order: int
    at_ms: int


class Paid(Event, key="account", topic="payments"):
    account: str
    customer: str
    amount: int
    at_ms: int


class Settled(Event, key="customer", topic="settled-orders"):
    customer: str
    order: int
    amount: int


class Sum(Event, key="customer", topic="sums"):
    customer: str
    start_ms: int
    amount: int


def settled(pair: Pair[Placed, Paid]) -> Settled:
    return Settled(customer=pair.left.customer, order=pair.left.order, amount=pair.right.amount)


def added(total: int, pair: Pair[Placed, Paid]) -> int:
    return total + pair.right.amount


def summed(pane: Pane[int]) -> Sum:
    return Sum(customer=pane.key, start_ms=pane.start_ms, amount=pane.value)


def till(**options):
    app = App("till")
    timing = {"out_of_order_s": 2, "ahead_s_max": None, **{k: options.pop(k) for k in ("idle_s",) if k in options}}
    placed = app.stream(Placed, options=ONCE).event_time("at_ms", **timing)
    paid = app.stream(Paid, options=ONCE).event_time("at_ms", **timing).key_by("customer")
    pairs = placed.join(paid, between_s=(-1, 10), **options)
    pairs.map(settled).to(Settled)
    pairs.window(Tumbling(30), name="halves").fold(int, added).map(summed).to(Sum)
    return app


def order(number, at_s, customer="ada"):
    return Placed(customer=customer, order=number, at_ms=round(at_s * 1000))


def payment(amount, at_s, customer="ada"):
    return Paid(account=f"{customer}-{amount % 2}", customer=customer, amount=amount, at_ms=round(at_s * 1000))


async def test_values_that_are_near_in_time_meet_whichever_comes_first():
    async with apps.app(till(idle_s=None)) as live:
        for event in (
            order(1, 10),
            payment(5, 12),
            payment(6, 40),
            order(2, 41),
            payment(7, 9, "bob"),
            order(3, 9, "eve"),
        ):
            await live.send(event)
            await live.settled()
        found = {(each.order, each.amount) for each in await live.events(Settled)}
        assert found == {(1, 5), (2, 6)}
        assert await live.dead_letters() == []


async def test_windows_of_pairs_close_and_nothing_is_late_in_them_for_the_join():
    async with apps.app(till(idle_s=None)) as live:
        for number in range(30):
            await live.send(order(number, number))
        await live.settled()
        for number in range(40):  # long after all orders
            await live.send(payment(number, number))
        await live.send(order(99, 500))
        await live.send(payment(99, 500))
        await live.settled()
        pairs = await live.events(Settled)
        assert len(pairs) > 200
        assert await live.dead_letters() == []
        sums = {each.start_ms: each.amount for each in await live.events(Sum)}
        near = [(o, p) for o in range(30) for p in range(40) if -1 <= p - o <= 10]
        assert sums[0] == sum(p for o, p in near if max(o, p) < 30)
        assert sums[30_000] == sum(p for o, p in near if 30 <= max(o, p) < 60)


async def test_what_comes_later_than_its_own_stream_allows_is_a_dead_letter_or_left_out():
    for late, letters in (("dead", 1), ("drop", 0)):
        async with apps.app(till(idle_s=None, late=late)) as live:
            for event in (order(1, 10), payment(5, 11), order(2, 100), order(3, 12)):
                await live.send(event)
                await live.settled()
            found = await live.dead_letters()
            assert len(found) == letters
            assert all("too late to be joined" in each.reason for each in found)
            assert [each.order for each in await live.events(Settled)] == [1]


async def test_of_a_stream_that_does_not_come_so_many_wait_and_no_more():
    async with apps.app(till(idle_s=None, values_max=3)) as live:
        for number in range(5):
            await live.send(order(number, number))
        await live.settled()
        found = await live.dead_letters()
        assert len(found) == 2
        assert "wait for the other stream" in found[0].reason
        await live.send(payment(1, 4))
        await live.settled()
        assert sorted(each.order for each in await live.events(Settled)) == [0, 1, 2]


async def test_a_key_of_which_a_side_is_silent_keeps_nothing_for_ever():
    async with apps.app(till()) as live:
        await live.send(order(1, 10))
        await live.settled()
        agent = "placed-orders-stream-join1"
        held = await live.engine.parts.store.values("default", agent, "ada")
        assert len(held) == 2  # the clock, and the value
        await live.clock.sleep(100)
        await live.settled()
        held = await live.engine.parts.store.values("default", agent, "ada")
        assert len(held) == 1
        await live.clock.sleep(2 * 86_400)
        await live.settled()
        assert dict(await live.engine.parts.store.values("default", agent, "ada")) == {}


@pytest.mark.parametrize("nth", range(1, 30, 4))
async def test_pairs_are_there_once_whatever_the_process_dies_of(nth):
    disk, events = Disk(), [each for n in range(8) for each in (order(n, n), payment(n, n))]
    with suppress(NotReached):
        async with apps.app(till(idle_s=None), disk=disk) as live, live.crash_at(WritePoint.AFTER_COMMIT, nth):
            for number, event in enumerate(events):
                await live.engine.send(event, id=f"e{number}")
            await live.settled()
    async with apps.app(till(idle_s=None), disk=disk) as live:
        for number, event in enumerate(events):
            await live.engine.send(event, id=f"e{number}")
        await live.settled()
        found = sorted((each.order, each.amount) for each in await live.events(Settled))
        assert found == [(o, p) for o in range(8) for p in range(8) if -1 <= p - o <= 10]


def test_all_that_is_wrong_with_a_join_is_said_at_once():
    app = App("wrong")
    placed, paid = app.stream(Placed), app.stream(Paid)
    with pytest.raises(Invalid) as caught:
        placed.join(paid, "query", between_s=(5, 1), late="never", values_max=0)  # type: ignore[call-overload]
    assert [each.path for each in caught.value.findings] == ["query", "between_s", "late", "values_max"]
    paired = placed.join(App("other").stream(Paid), between_s=(0, 1))
    with pytest.raises(Invalid, match="joins a stream of another app"):
        _ = app.declared
    assert paired is not placed


def test_a_join_that_goes_nowhere_or_has_no_key_is_refused():
    class Loose(Event, topic="loose"):
        number: int

    app = App("loose")
    app.stream(Loose).join(app.stream(Paid), between_s=(0, 1))
    with pytest.raises(Invalid) as caught:
        _ = app.declared
    problems = [each.problem for each in caught.value.findings]
    assert problems == ["is a join of values without a key", "goes nowhere"]


def test_a_join_is_drawn_with_both_streams_leading_to_it():
    drawn = mermaid(till().streams.values())
    assert "join what comes -1 to 10 s after it" in drawn
    join = next(line.split("[")[0].strip() for line in drawn.splitlines() if "join what comes" in line)
    assert sum(line.endswith(f"--> {join}") for line in drawn.splitlines()) == 2
