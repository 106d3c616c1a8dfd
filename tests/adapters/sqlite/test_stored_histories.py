"""Whole stores of older formats are opened, brought up to date, and resumed: what was under way goes on where it was."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penstock import App, Context, Event, Retry, WorkflowContext, tool
from penstock.adapters.clock.system import SystemClock
from penstock.adapters.sqlite.schema import FORMAT
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.agents.pieces import decode_pieces
from penstock.errors import RunFailed
from penstock.ports.state import DeadFilter
from penstock.testing.copying_contract import exported, imported

STORED = Path(__file__).parents[2] / "core" / "events" / "stored"
THEN_MS = 1_795_659_770_000  # some seconds after it was written: sessions have not expired


class Order(Event, key="customer", version=2):
    """It had pounds at first."""

    customer: str
    pence: int


@Order.upcast(1)
def in_pence(data: dict[str, Any]) -> dict[str, Any]:
    return {"customer": data["customer"], "pence": data["pounds"] * 100}


class Receipt(Event, key="customer"):
    customer: str
    text: str


class Trip(Event, key="customer"):
    customer: str


class Pay(Event, key="customer"):
    customer: str


class Nag(Event, key="customer"):
    customer: str


class ThatDay(SystemClock):
    def now_ms(self) -> int:
        return THEN_MS


def history(seen: list[str]) -> App:
    """Return the app that wrote the store, as it is now."""
    app = App("history")

    @app.agent(retry=Retry(attempts_max=3, delay_s=0.01, delay_max_s=0.01))
    async def serve(order: Order, ctx: Context) -> Receipt:
        price = await ctx.step("price", _must_not_be_called)
        count = await ctx.values.get("count", 0, to=int)
        await ctx.values.set("count", count + 1)
        said = [each.content for each in await ctx.session.history()]
        seen.append(f"{ctx.key} {order.pence} {price} {count} {said} attempt {ctx.attempt}")
        return Receipt(customer=order.customer, text=f"{price} pounds")

    @app.agent(batch=4)
    async def count(receipts: list[Receipt]) -> None:
        seen.extend(f"counted {each.text}" for each in receipts)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        booked = await ctx.step("book", _must_not_be_called)
        answer = await ctx.call("serve", Order(customer=trip.customer, pence=500))
        approval = await ctx.wait_for("approval")
        return f"{booked}, {answer.text}, {approval}"

    @tool(unknown="ask")
    async def charge() -> int:
        seen.append("charged")
        return 5

    @app.agent
    async def pay(asked: Pay, ctx: Context) -> str:
        ctx.tell("paying")
        return f"paid {await ctx.step('charge', charge)}"

    @app.agent
    async def nag(asked: Nag, ctx: Context) -> int:
        seen.append("nagged")
        return len(await ctx.values.get("large", "", to=str))

    return app


async def _must_not_be_called() -> Any:
    return "called anew"


@pytest.fixture(params=sorted(STORED.glob("format_*.sql")), ids=lambda path: path.stem)
def path(request, tmp_path):
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(request.param.read_text())
    return path


async def test_what_was_under_way_goes_on_where_it_was(path):
    seen: list[str] = []
    async with history(seen).running(store=f"sqlite:{path}", clock=ThatDay()) as live:
        async with asyncio.timeout(10):
            await live.engine.until(lambda: len(seen) == 2)  # not `settled`: a question may wait for a person
        # It waited for its second attempt; its step is not called again.
        assert seen == ["bob 1300 26 0 [] attempt 2", "counted 26 pounds"]
        await live.signal("t1:travel", "approval", "granted")
        async with asyncio.timeout(10):
            run = await live.engine.until(
                lambda: live.engine.run("t1:travel"), lambda run: run.change.status != "running"
            )
        assert run.change.result == b'"booked, 10 pounds, granted"'
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)


async def test_what_was_done_is_known(path):
    seen: list[str] = []
    async with history(seen).running(store=f"sqlite:{path}", clock=ThatDay()) as live:
        assert (await live.ask(Order(customer="ada", pence=1), Receipt, id="o1", within_s=5)).text == "2 pounds"
        assert await live.call("serve", Order(customer="ada", pence=1), id="o2") == {
            "customer": "ada",
            "text": "4 pounds",
        }
        with pytest.raises(RunFailed, match="never: do not"):
            await live.call("serve", Order(customer="eve", pence=1), id="never", tenant="acme")
        (letter,) = await live.engine.parts.store.dead_letters(DeadFilter(tenant="acme"))
        assert (letter.run_id, letter.event.event.type) == ("never:serve", "Order.v1")
        await live.call("serve", Order(customer="ada", pence=7), within_s=5)
        assert "ada 7 called anew 2 ['order 1', 'order 2'] attempt 1" in seen


@pytest.fixture
def newest(tmp_path):
    """Return a store of format 2: it has what format 1 has, and questions, timers, streams and large values."""
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((STORED / "format_2.sql").read_text())
    return path


async def test_a_question_is_decided_a_timer_still_waits_and_a_dead_letter_is_tried_again(newest):
    seen: list[str] = []
    async with history(seen).running(store=f"sqlite:{newest}", clock=ThatDay()) as live:
        (question,) = await live.questions()
        assert (question.run_id, question.step, question.call) == ("pay:pay", "charge#0", "charge()")
        await live.decide(question.run_id, question.step, "done", 7)
        assert await live.result("pay:pay", within_s=10) == "paid 7"
        assert "charged" not in seen
        (timer,) = await live.timers()
        assert (timer.name, timer.event.type, timer.event.key) == ("nag", "Nag.v1", "fay")
        await live.cancel_timer(timer.id)
        assert await live.timers() == []
        assert await live.redrive("never:serve", fresh=True, tenant="acme") == ["never:serve"]
        assert (await live.result("never:serve", within_s=10, tenant="acme"))["text"] == "called anew pounds"


async def test_large_values_and_streams_are_read(newest):
    seen: list[str] = []
    async with history(seen).running(store=f"sqlite:{newest}", clock=ThatDay()) as live:
        store = live.engine.parts.store
        (told,) = await store.pieces("default", "nag:nag", "", from_offset=0, limit=10)
        assert [each.text for each in decode_pieces(told)] == ["nagged"]
        assert await live.call("nag", Nag(customer="fay")) == 66_000
        assert seen.count("nagged") == 1


async def test_a_stored_history_is_copied_as_it_is(newest, tmp_path):
    """What an older release left can be moved, too, once it is brought up to date."""
    async with open_sqlite_store(newest) as store:
        counted = await exported(store, tmp_path / "history.jsonl")
    async with open_sqlite_store(tmp_path / "moved.db") as moved:
        assert await imported(tmp_path / "history.jsonl", moved) == sum(counted.counts.values()) - 1
    seen: list[str] = []
    async with history(seen).running(store=f"sqlite:{tmp_path / 'moved.db'}", clock=ThatDay()) as live:
        (question,) = await live.questions()
        assert question.run_id == "pay:pay"
