"""A disk that is full: what was acknowledged is there, what was not is said, and with room again all goes on."""

import asyncio
import json
import subprocess
import sys

from penstock import App, Event
from penstock.settings import Settings

LIFE = """
import asyncio, json, resource, signal, sys
from pathlib import Path
from penstock import App, Event
from penstock.errors import PenstockError
from penstock.settings import Settings

class Order(Event, key="customer"):
    customer: str
    text: str

app = App("shop")

@app.agent
async def take(order: Order) -> None: ...

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    told = []
    try:
        async with app.running(Settings(store=sys.argv[1])) as live:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
            for number in range(2000):
                async with asyncio.timeout(20):
                    await live.send(Order(customer=f"c{number % 3}", text="x" * 2000), id=f"o{number}")
                told.append(f"o{number}")
    except (PenstockError, TimeoutError) as error:
        print(json.dumps({"told": told, "error": type(error).__name__, "said": str(error)}))

asyncio.run(main())
"""


class Order(Event, key="customer"):
    customer: str
    text: str


async def test_c1_what_was_acknowledged_before_the_disk_was_full_is_there(tmp_path):
    store = f"sqlite:{tmp_path / 'shop.db'}"
    command = [sys.executable, "-c", LIFE, store]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(ended.stdout)
    assert 0 < len(told["told"]) < 2000, told
    assert told["error"] in {"Unavailable", "Refused"}, told
    app, handled = App("shop"), []

    @app.agent
    async def take(order: Order) -> None:
        handled.append(order)

    async with app.running(Settings(store=store)) as live:
        for each in told["told"]:
            assert await live.engine.parts.store.event(each) is not None
        await live.send(Order(customer="c0", text="room again"))
        assert await live.engine.settled(30)
    assert handled[-1].text == "room again"
