"""An agent with a pattern takes only the events that match it; the others are done with, durably."""

import httpx2
import pytest

from penstock import App, Context, Event, WorkflowContext
from penstock.errors import Invalid, Missing, Refused
from penstock.gateway.web import web_app


class Order(Event, key="customer", version=2):
    customer: str
    total: float
    tags: list[str] = []


@Order.upcast(1)
def with_total(data):
    return {"customer": data["customer"], "total": data["sum"]}


def first_order():
    """The class as it was at first."""

    class Order(Event, key="customer"):
        customer: str
        sum: float

    return Order


class Checked(Event, key="customer"):
    customer: str


class Big(Event, key="customer"):
    customer: str


BIG = {"total": [{"numeric": [">", 100]}]}
URGENT = {"tags": ["urgent"]}


def shop(handled, *, big=BIG):
    app = App("shop")

    @app.agent(pattern=big)
    async def big_orders(order: Order) -> Big:
        handled.append(("big", order.total))
        return Big(customer=order.customer)

    @app.agent(pattern=URGENT)
    async def urgent_orders(order: Order) -> int:
        handled.append(("urgent", order.total))
        return 1

    @app.agent
    async def all_orders(order: Order) -> None:
        handled.append(("all", order.total))

    @app.agent(pattern=BIG, batch=10)
    async def big_batches(orders: list[Order]) -> None:
        handled.extend(("batch", order.total) for order in orders)

    @app.workflow
    async def check(checked: Checked, ctx: WorkflowContext) -> int:
        return await ctx.call("urgent_orders", Order(customer=checked.customer, total=1.0))

    @app.workflow(pattern={"tags": [{"prefix": "slow"}]})
    async def follow(order: Order, ctx: WorkflowContext) -> None:
        handled.append(("followed", order.total))

    return app


def order(total, *tags):
    return Order(customer=f"c{total}", total=total, tags=list(tags))


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'shop.db'}"


async def test_each_event_goes_to_the_agents_whose_pattern_it_matches(store):
    handled = []
    async with shop(handled).running(store=store) as live:
        for each in (order(5.0), order(500.0), order(50.0, "urgent"), order(600.0, "slowly", "urgent")):
            await live.send(each)
        assert await live.engine.settled(10)
    assert sorted(handled) == [
        ("all", 5.0),
        ("all", 50.0),
        ("all", 500.0),
        ("all", 600.0),
        ("batch", 500.0),
        ("batch", 600.0),
        ("big", 500.0),
        ("big", 600.0),
        ("followed", 600.0),
        ("urgent", 50.0),
        ("urgent", 600.0),
    ]


async def test_what_was_passed_over_stays_so_when_the_pattern_becomes_another(tmp_path):
    handled, url = [], f"sqlite:{tmp_path / 'shop.db'}"
    async with shop(handled).running(store=url) as live:
        small = await live.send(order(5.0))
        assert await live.engine.settled(10)
        for name in ("big_orders", "all_orders", "urgent_orders"):
            await live.engine.caught_up(name)
        assert {each.progress.low for each in live.engine.delivering.of("big_orders") if each.topic == "order"} == {1}
    handled.clear()
    async with shop(handled, big={"total": [{"numeric": [">", 1]}]}).running(store=url) as live:
        await live.send(order(7.0))
        assert await live.engine.settled(10)
        assert ("big", 7.0) in handled
        assert ("big", 5.0) not in handled
        assert (await live.engine.run(f"{small}:all_orders")).change.status == "succeeded"


async def test_there_is_no_run_of_an_event_that_was_passed_over():
    async with shop([]).running(store="memory:") as live:
        sent = await live.send(order(5.0))
        assert await live.engine.settled(10)
        with pytest.raises(Missing, match="the pattern of 'big_orders' does not match"):
            await live.engine.run(f"{sent}:big_orders")
        with pytest.raises(Missing, match="the pattern of 'big_orders' does not match"):
            await live.result(f"{sent}:big_orders", within_s=5)


async def test_a_caller_is_told_at_once_that_an_agent_does_not_take_an_event():
    async with shop([]).running(store="memory:") as live:
        with pytest.raises(Refused, match="takes only events that match its pattern"):
            await live.call("urgent_orders", order(5.0))
        assert await live.call("urgent_orders", order(5.0, "urgent")) == 1
        assert await live.ask(order(500.0), Big) == Big(customer="c500.0")


async def test_a_question_that_no_pattern_lets_through_is_refused_at_once():
    app = App("desk")

    @app.agent(pattern=BIG)
    async def answer(order: Order) -> Big:
        return Big(customer=order.customer)

    async with app.running(store="memory:") as live:
        with pytest.raises(Refused, match=r"no agent that takes Order\.v2 has a pattern that this one matches"):
            await live.ask(order(5.0), Big)


async def test_a_workflow_that_calls_an_agent_has_chosen_it_whatever_its_pattern():
    async with shop([]).running(store="memory:") as live:
        assert await live.call("check", Checked(customer="a")) == 1


async def test_an_older_version_is_matched_as_what_it_becomes(tmp_path):
    url = f"sqlite:{tmp_path / 'shop.db'}"
    first = first_order()
    async with App("shop", events=[first]).running(store=url) as live:
        await live.send(first(customer="a", sum=900.0))
        await live.send(first(customer="b", sum=9.0))
    handled = []
    async with shop(handled).running(store=url) as live:
        assert await live.engine.settled(10)
    assert sorted(handled) == [("all", 9.0), ("all", 900.0), ("batch", 900.0), ("big", 900.0)]


async def test_agents_over_http_show_their_pattern_and_refuse_what_does_not_match():
    app = shop([])
    async with app.running(store="memory:") as live:
        transport = httpx2.ASGITransport(web_app(live))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            shown = {each["name"]: each["pattern"] for each in (await client.get("/v1/agents")).json()["agents"]}
            assert (shown["big_orders"], shown["all_orders"]) == (BIG, None)
            answer = await client.post("/v1/agents/big_orders", json={"customer": "a", "total": 5})
            assert answer.status_code in (400, 409, 422)
            assert "pattern" in answer.text


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"totl": [1], "total": 3}, ["pattern.total", "pattern.totl"]),
        ({"totl": [1], "tags": ["a"]}, ["pattern.totl"]),
        ([1], ["pattern"]),
        ({"total": [{"above": 3}, {"numeric": [">"]}]}, ["pattern.total[0]", "pattern.total[1]"]),
    ],
)
def test_all_that_is_wrong_with_a_pattern_is_told_when_it_is_declared(pattern, expected):
    app = App("shop")
    with pytest.raises(Invalid) as refused:

        @app.agent(pattern=pattern, timeout_s=-1)
        async def handle(order: Order, ctx: Context) -> None: ...

    paths = {each.path for each in refused.value.findings}
    assert "timeout_s" in paths
    assert paths - {"timeout_s"} <= set(expected)
    assert paths & set(expected)
