"""`penstock lag` tells what waits for each agent, beside the app or without it."""

import asyncio
import json
from contextlib import suppress

from penstock.cli import app as command
from penstock.cli.loading import load
from penstock.settings import Settings

APP = """
from penstock import App, Event


class Order(Event, key="customer", topic="order"):
    customer: str


app = App("shop")


@app.agent
async def take(order: Order) -> None: ...
"""
BUSY = APP.replace("-> None: ...", "-> None:\n    import asyncio\n    await asyncio.sleep(3600)")


def said(capsys, *arguments):
    with suppress(SystemExit):
        command(["lag", *map(str, arguments)])
    return capsys.readouterr().out


def test_what_is_handled_does_not_wait_and_what_is_not_does(tmp_path, capsys):
    file, store = tmp_path / "shop.py", f"sqlite:{tmp_path / 'shop.db'}"
    file.write_text(APP)

    async def orders(count):
        app = load(file)
        async with app.running(Settings(store=store)) as live:
            for number in range(count):
                await live.send(next(iter(app.agents["take"].accepts))(customer=f"c{number}"))
            if "sleep" not in file.read_text():
                await live.engine.settled(10)

    asyncio.run(orders(3))
    assert json.loads(said(capsys, file, "--store", store, "--json")) == [
        {"agent": "take", "topic": "order", "partition": 0, "lag": 0}
    ]
    file.write_text(BUSY)
    asyncio.run(orders(5))
    assert json.loads(said(capsys, file, "--store", store, "--json"))[0]["lag"] == 5
    assert "5" in said(capsys, file, "--store", store)
