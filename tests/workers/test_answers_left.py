"""What people answer on the command line reaches the run, on every backend, whether its app runs or not."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.loading import load
from penstock.settings import Settings

SHOP = Path(__file__).parent / "shop.py"
pytestmark = pytest.mark.timeout(120)


def answered(store, run, *, code=0):
    arguments = ("questions", "answer", run, "charge#0", "done", "--value", "7", "--store", store)
    command = [sys.executable, "-m", "penstock.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_answer_reaches_the_run_now_or_at_the_next_start_of_its_app(store):
    shop = load(SHOP)
    (buy,) = shop.agents["buy"].accepts

    async def asked(*ids):
        async with shop.running(Settings(store=store)) as live:
            for each in ids:
                await live.send(buy(cents=7), id=each)
            await live.engine.until(live.questions, lambda asked: len(asked) == len(ids))

    asyncio.run(asked("b1", "b2"))
    said = answered(store, "b1:buy")
    assert ("left in the store" in said) == (not store.startswith("sqlite"))

    async def goes_on():
        async with shop.running(Settings(store=store)) as live:
            assert await live.result("b1:buy", within_s=30) == 7
            said = await asyncio.to_thread(answered, store, "b2:buy")
            assert "left in" not in said
            assert await live.result("b2:buy", within_s=30) == 7
            assert "is missing" in await asyncio.to_thread(lambda: answered(store, "b3:buy", code=2))

    asyncio.run(goes_on())
