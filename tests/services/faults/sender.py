"""Who sends orders, as a worker in a process of its own, until its input is closed: `python sender.py FIRST`.

The number of each order that was acknowledged stands on stdout, a line each. With a customer given (`sender.py FIRST bad`) that
one's one order is sent, and nothing else.
"""

import asyncio
import os
import sys
import threading
from pathlib import Path

from penstock import App, Event
from penstock.cli.loading import load
from penstock.errors import PenstockError
from penstock.settings import settings

APP = Path(__file__).parent / "faulty_shop.py"
CUSTOMERS = 8
PACE_S = 0.01


async def send(first: int) -> None:
    """Send the orders in their order, each after the one before was acknowledged."""
    app, number, stopped = load(APP), first, threading.Event()
    threading.Thread(target=_until_stdin_ends, args=(stopped,), daemon=True).start()
    async with app.running(settings({}), beside=True) as live:
        while not stopped.is_set():
            await live.send(order(app, f"c{number % CUSTOMERS}", number), id=f"order-{number}")
            os.write(1, b"%d\n" % number)
            number += 1
            await asyncio.sleep(PACE_S)


async def send_one(customer: str, number: int) -> None:
    """Send one order of somebody, and stay no longer than that: what it does is for others to suffer."""
    app = load(APP)
    async with app.running(settings({}), beside=True) as live:
        await live.send(order(app, customer, number), id=f"{customer}-{number}")


def _until_stdin_ends(stopped: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stopped.set()


def order(app: App, customer: str, number: int) -> Event:
    kind = next(iter(app.agents["charge"].accepts))
    return kind(customer=customer, number=number)


def main() -> int:
    first, customer = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    try:
        asyncio.run(send_one(customer, first) if customer else send(first))
    except (PenstockError, BrokenPipeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
