"""Events of older versions reach the newest code, and those of newer versions wait for it; nothing is lost (C6)."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from penstock import App, Context, Event, WorkflowContext
from penstock.core.agents.journal import decode_value, encode_value, shaped
from penstock.errors import Invalid
from penstock.ports.state import DeadFilter
from penstock.runtime.topology import Topology
from penstock.testing.apps import Disk, app
from penstock.testing.virtual_time import run_virtually


def first():
    """The classes as they were at first."""

    class Order(Event, key="customer"):
        customer: str
        pounds: int

    class Receipt(Event):
        text: str

    return Order, Receipt


def third():
    """The classes as they are two versions later."""

    class Order(Event, key="customer", version=3):
        customer: str
        pence: int
        currency: str

    @Order.upcast(1)
    def in_pence(data: dict[str, Any]) -> dict[str, Any]:
        return {"customer": data["customer"], "pence": data["pounds"] * 100}

    @Order.upcast(2)
    def with_currency(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "GBP"}

    class Receipt(Event, version=2):
        lines: list[str]

    @Receipt.upcast(1)
    def in_lines(data: dict[str, Any]) -> dict[str, Any]:
        return {"lines": data["text"].splitlines()}

    return Order, Receipt


@pytest.mark.parametrize("options", [{}, {"batch": 5}, {"key": "currency"}])
def test_an_agent_gets_events_of_all_older_versions_in_their_order(options):
    seen: list[Any] = []
    disk = Disk()
    old, new = first()[0], third()[0]
    shop = App("shop", events=[old])

    async def note(order, ctx: Context) -> None:
        seen.extend(order if isinstance(order, list) else [order])

    note.__annotations__["order"] = list[new] if "batch" in options else new

    async def life() -> None:
        async with app(shop, disk=disk) as live:
            for number in range(3):
                await live.send(old(customer="a", pounds=number))
        later = App("shop")
        later.agent(**options)(note)
        async with app(later, disk=disk) as live:
            await live.send(new(customer="a", pence=350, currency="GBP"))
            await live.settled()
            assert await live.dead_letters() == []

    run_virtually(life())
    assert [(each.pence, each.currency) for each in seen] == [(0, "GBP"), (100, "GBP"), (200, "GBP"), (350, "GBP")]


def test_a_newer_event_waits_in_the_dead_letters_and_the_others_go_on():
    seen: list[Any] = []
    disk = Disk()
    old, new = first()[0], third()[0]

    async def life() -> None:
        async with app(App("shop", events=[new]), disk=disk) as live:
            await live.send(new(customer="a", pence=350, currency="EUR"), id="newer")
            await live.send(new(customer="b", pence=1, currency="EUR"), id="another")
        shop = App("shop")

        @shop.agent
        async def serve(order: old) -> None:  # pyright: ignore[reportInvalidTypeForm]
            seen.append(order)

        @shop.agent(batch=3)
        async def count(orders: list[old]) -> None:  # pyright: ignore[reportInvalidTypeForm]
            seen.extend(orders)

        @shop.workflow
        async def plan(order: old, ctx: WorkflowContext) -> None:  # pyright: ignore[reportInvalidTypeForm]
            seen.append(order)

        async with app(shop, disk=disk) as live:
            await live.send(old(customer="a", pounds=1))
            await live.settled()
            await asyncio.sleep(1)
            letters = await live.dead_letters()
            assert sorted((each.agent, each.event.event.id) for each in letters) == [
                (agent, event) for agent in ("count", "plan", "serve") for event in ("another", "newer")
            ]
            assert all("Order.v3 is newer than Order.v1, which this code knows" in each.reason for each in letters)
            assert {each.attempts for each in letters} == {1}
        assert len(seen) == 3
        upgraded = App("shop")

        @upgraded.agent(name="serve")
        async def serve_new(order: new) -> None:  # pyright: ignore[reportInvalidTypeForm]
            seen.append(order)

        async with app(upgraded, disk=disk) as live:
            await live.redrive(DeadFilter(agent="serve"))
            await live.settled()
            assert sorted(each.pence for each in seen[3:]) == [1, 350]
            assert [each.agent for each in await live.dead_letters()] != []
            assert "serve" not in {each.agent for each in await live.dead_letters()}

    run_virtually(life())


def test_an_older_event_that_nothing_brings_to_the_newest_is_not_passed_over():
    disk = Disk()
    old = first()[0]

    class Order(Event, key="customer", version=2):
        customer: str

    async def life() -> None:
        async with app(App("shop", events=[old]), disk=disk) as live:
            await live.send(old(customer="a", pounds=1))
        shop = App("shop")

        @shop.agent
        async def serve(order: Order) -> None: ...

        async with app(shop, disk=disk) as live:
            await live.settled()
            (letter,) = await live.dead_letters()
            assert "Order.v1 is older than Order.v2" in letter.reason
            assert "@Order.upcast(1)" in letter.reason

    run_virtually(life())


def test_an_answer_of_an_older_version_is_told_as_the_newest():
    disk = Disk()
    (order, old), (_, new) = first(), third()

    async def life() -> None:
        shop = App("shop")

        @shop.agent
        async def serve(order: order) -> old:  # pyright: ignore[reportInvalidTypeForm]
            return old(text="one\ntwo")

        async with app(shop, disk=disk) as live:
            await live.ask(order(customer="a", pounds=1), old, id="o1")
        later = App("shop", events=[new])

        @later.agent(name="serve")
        async def again(order: order) -> None: ...  # pyright: ignore[reportInvalidTypeForm]

        async with app(later, disk=disk) as live:
            assert (await live.ask(order(customer="a", pounds=1), new, id="o1")).lines == ["one", "two"]

    run_virtually(life())


def test_a_workflow_goes_on_with_an_event_and_a_result_of_older_versions():
    disk = Disk()
    (old_order, old_receipt), (new_order, new_receipt) = first(), third()
    ended: list[Any] = []

    async def life() -> None:
        shop = App("shop", events=[old_receipt])

        class Ask(Event):
            pass

        @shop.agent
        async def till(ask: Ask) -> old_receipt:  # pyright: ignore[reportInvalidTypeForm]
            return old_receipt(text="a\nb")

        @shop.workflow
        async def buy(order: old_order, ctx: WorkflowContext) -> None:  # pyright: ignore[reportInvalidTypeForm]
            await ctx.call("till", Ask())
            await ctx.wait_for("go")

        async with app(shop, disk=disk) as live:
            await live.send(old_order(customer="a", pounds=1), id="o1")
            await live.settled()
        later = App("shop")

        @later.agent(name="till")
        async def new_till(ask: Ask) -> new_receipt: ...  # pyright: ignore[reportInvalidTypeForm,reportReturnType]

        @later.workflow(name="buy")
        async def new_buy(order: new_order, ctx: WorkflowContext) -> None:  # pyright: ignore[reportInvalidTypeForm]
            receipt = await ctx.call("till", Ask())
            await ctx.wait_for("go")
            ended.append((order, receipt))

        async with app(later, disk=disk) as live:
            await live.signal("o1:buy", "go")
            await live.settled()
            await asyncio.sleep(1)
            assert [each.status for each in await live.runs("buy")] == ["succeeded"]

    run_virtually(life())
    ((order, receipt),) = ended
    assert (order.pence, order.currency) == (100, "GBP")
    assert receipt.lines == ["a", "b"]


def test_an_upcaster_that_fails_is_told_and_tried_once():
    disk = Disk()
    old = first()[0]

    class Order(Event, key="customer", version=2):
        customer: str

    @Order.upcast(1)
    def broken(data: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("nothing of that name")

    async def life() -> None:
        async with app(App("shop", events=[old]), disk=disk) as live:
            await live.send(old(customer="a", pounds=1))
        shop = App("shop")

        @shop.agent
        async def serve(order: Order) -> None: ...

        async with app(shop, disk=disk) as live:
            await live.settled()
            (letter,) = await live.dead_letters()
            assert "the upcaster of Order.v1" in letter.reason
            assert "nothing of that name" in letter.reason

    run_virtually(life())


def test_what_is_wrong_with_versions_is_said_when_they_are_declared():
    class Order(Event, version=4):
        a: int

    @Order.upcast(1)
    def one(data: dict[str, Any]) -> dict[str, Any]:
        return data

    with pytest.raises(Invalid) as raised:
        Order.upcast(4)(None)  # pyright: ignore[reportArgumentType]
    assert [each.path for each in raised.value.findings] == ["version", "function"]
    with pytest.raises(Invalid, match="has an upcaster already"):
        Order.upcast(1)(one)
    with pytest.raises(Invalid) as raised:
        Topology({}, [Order])
    assert [each.hint for each in raised.value.findings] == ["declare @Order.upcast(2)", "declare @Order.upcast(3)"]


def test_a_class_and_an_upcaster_of_its_type_exclude_each_other():
    with pytest.raises(Invalid, match=r"Order\.v1: is a class of the app, and is brought to Order\.v3"):
        Topology({}, [first()[0], third()[0]])


def test_two_classes_of_one_name_and_two_versions_are_two_types():
    seen: list[str] = []
    old = first()[0]

    class Order(Event, key="customer", version=2):
        customer: str

    shop = App("shop")

    @shop.agent
    async def ones(order: old) -> None:  # pyright: ignore[reportInvalidTypeForm]
        seen.append("one")

    @shop.agent
    async def twos(order: Order) -> None:
        seen.append("two")

    async def life() -> None:
        async with app(shop) as live:
            await live.send(old(customer="a", pounds=1))
            await live.send(Order(customer="a"))
            await live.settled()
            assert await live.dead_letters() == []

    run_virtually(life())
    assert sorted(seen) == ["one", "two"]


@dataclass
class Basket:
    items: list[str]

    @classmethod
    def upcast_stored(cls, plain: Any) -> Any:
        return {"items": [plain]} if isinstance(plain, str) else plain


def test_a_stored_value_is_brought_to_what_its_class_is_now():
    assert decode_value(encode_value("tea", "x"), Basket) == Basket(["tea"])
    assert decode_value(encode_value(Basket(["tea"]), "x"), Basket) == Basket(["tea"])
    old, new = first()[0], third()[0]
    stored = encode_value([old(customer="a", pounds=2), old(customer="b", pounds=3)], "x")
    assert [each.pence for each in decode_value(stored, list[new])] == [200, 300]
    assert decode_value(encode_value(old(customer="a", pounds=2), "x"), new).currency == "GBP"
    with pytest.raises(Invalid):
        shaped({"neither": 1}, new)
