"""What every broker has to say when something is wrong: one error of ours within seconds, with the setting, and never a secret."""

import asyncio
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from app_over_broker import Ordered, Shipped, shop
from registry_server import served

WITHIN_S = 25  # on a busy machine; the adapters give up after 5 to 10


async def goes_over(log: str, folder: Path) -> None:
    """Run a whole app over a broker: an order is packed and shipped by events, and known after a restart."""
    shipped, chosen = list[tuple[str, int]](), {"store": f"sqlite:{folder / 'shop.db'}", "log": f"{log}&partitions=2"}
    for _ in range(2):
        async with shop(shipped).running(**chosen) as live, asyncio.timeout(WITHIN_S):
            assert (await live.ask(Ordered(customer="c", number=7), Shipped, id="once")).number == 7
    assert shipped == [("c", 7)]


async def refusal(log: str, kind: type[Exception], caplog: pytest.LogCaptureFixture, *secrets: str) -> str:
    """Return how the error of a kind reads by which an app ends that starts over this; no secret may be in it, nor logged."""
    with caplog.at_level("DEBUG"), pytest.raises(kind) as refused:
        async with asyncio.timeout(WITHIN_S), shop([]).running(store="memory:", log=log):
            pass
    said = str(refused.value)
    everywhere = "".join([said, repr(refused.value), *traceback.format_exception(refused.value), caplog.text])
    for each in secrets:
        assert each not in everywhere
        assert quote(each, safe="") not in everywhere
    return said


@asynccontextmanager
async def http_server(*, ok: bool = False) -> AsyncGenerator[int]:
    """Yield the port of a server that is something else; `ok`: it answers whatever it is asked."""

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        assert ok, "nothing that is sent here is HTTP"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>"})

    async with served(answer) as port:
        yield port
