"""Writes a whole store of the current format, with everything under way, as SQL: for tests/core/events/stored.

    .venv/bin/python scripts/stored_history.py tests/core/events/stored/format_2.sql

Do it when a format is released, and never change the file again (until then it may be written anew): what is in it must be read for ever. It goes on by
the code of each later release, in tests/adapters/sqlite/test_stored_histories.py.
"""

import asyncio
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from penstock import App, Context, Event, Retry, WorkflowContext, tool
from penstock.adapters.clock.system import SystemClock
from penstock.adapters.sqlite.schema import FORMAT
from penstock.errors import Refused

BEGAN_MS = 1_795_659_760_000
LARGE = "ab" * 33_000
PRAGMAS = ("application_id", "user_version")


class Order(Event, key="customer"):
    customer: str
    pounds: int


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
    """A clock that shows the same day each time."""

    def __init__(self):
        self.shown_ms = BEGAN_MS

    def now_ms(self):
        self.shown_ms += 1
        return self.shown_ms


@tool(unknown="ask", timeout_s=0.05)
async def charge() -> int:
    await asyncio.sleep(60)  # nobody will ever know whether it happened
    return 5


def history() -> App:
    app = App("history", events=[Nag])

    @app.agent(retry=Retry(attempts_max=3, delay_s=600, delay_max_s=600))
    async def serve(order: Order, ctx: Context) -> Receipt:
        price = await ctx.step("price", double, order.pounds)
        if order.pounds == 13:
            raise ValueError("try later")
        if order.pounds == 14:
            raise Refused("never", "do not")
        count = await ctx.values.get("count", 0, to=int)
        await ctx.values.set("count", count + 1)
        await ctx.session.add("user", f"order {order.pounds}")
        return Receipt(customer=order.customer, text=f"{price} pounds")

    @app.agent(batch=4)
    async def count(receipts: list[Receipt]) -> None:
        pass

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        booked = await ctx.step("book", str, "booked")
        answer = await ctx.call("serve", Order(customer=trip.customer, pounds=5))
        approval = await ctx.wait_for("approval")
        return f"{booked}, {answer.text}, {approval}"

    @app.agent
    async def pay(asked: Pay, ctx: Context) -> str:
        ctx.tell("paying")
        await ctx.values.set("large", LARGE)
        ctx.emit(Nag(customer=asked.customer), after_s=300_000_000, timer="nag")
        return f"paid {await ctx.step('charge', charge)}"

    @app.agent
    async def nag(asked: Nag, ctx: Context) -> None:
        ctx.emit(Nag(customer=asked.customer), after_s=300_000_000, timer="nag")
        await ctx.values.set("large", LARGE)
        ctx.tell("nagged")

    return app


def double(pounds):
    return 2 * pounds


async def lived(path):
    async with history().running(store=f"sqlite:{path}", clock=ThatDay()) as live:
        for number in (1, 2):
            await live.call("serve", Order(customer="ada", pounds=number), id=f"o{number}")
        await live.send(Order(customer="bob", pounds=13), id="later")
        await live.send(Order(customer="eve", pounds=14), id="never", tenant="acme")
        await live.send(Trip(customer="cat"), id="t1")
        await live.send(Pay(customer="dan"), id="pay")
        await live.call("nag", Nag(customer="fay"), id="nag")
        async with asyncio.timeout(20):
            await live.engine.until(live.questions)
            await live.engine.until(lambda: live.engine.parts.store.run("t1:travel"))
            later = lambda: live.engine.parts.store.run("later:serve")  # noqa: E731
            await live.engine.until(later, lambda run: run.change.status == "retrying")
        await asyncio.sleep(0.5)


def dumped(path):
    """Return the store as SQL; what repeats itself is written as an expression."""
    with closing(sqlite3.connect(path)) as connection:
        pragmas = [f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};" for name in PRAGMAS]
        lines = [re.sub(r"X'[0-9A-F]{2000,}'", shortened, line) for line in connection.iterdump()]
    kept = [line for line in lines if "sqlite_sequence" not in line]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    head = f"-- A store of format {FORMAT}, written by the code at commit {commit.strip()}."
    return "\n".join([f"{head} Never change it: what is in it must be read for ever.", *pragmas, *kept]) + "\n"


def shortened(match):
    return re.sub(r"(?:6162){100,}", lambda found: repeated(len(found[0]) // 4), f"CAST({match[0]} AS BLOB)")


def repeated(times):
    return f"' || replace(hex(zeroblob({times})), '00', 'ab') || X'"


def main():
    place = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        asyncio.run(lived(path))
        place.write_text(dumped(path))
    print(f"{place}: {place.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
