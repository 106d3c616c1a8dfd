"""Restate's server and a Python endpoint on 127.0.0.1, for as long as a block lasts.

Settings are the best that were found on a machine of two cores: granian instead of hypercorn, one partition instead of 24.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from processes import free_ports, server

CACHE = Path(sys.prefix).parent
PROGRAM = CACHE / "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"
HERE = Path(__file__).resolve().parent
PARTITIONS = os.environ.get("PENSTOCK_BENCH_RESTATE_PARTITIONS", "1")
READY_WITHIN_S = 60.0
CALL_WITHIN_S = 120.0
Call = Callable[[str, Any], Awaitable[Any]]


@asynccontextmanager
async def started(folder: Path, application: str, ready: tuple[str, Any]) -> AsyncGenerator[tuple[list[int], Call]]:
    """Start both processes, and yield their ids and a call over the ingress, as soon as the call `ready` is answered."""
    ingress, admin, node, port = free_ports(4)
    endpoint, options = _endpoint(port, application), _server(folder / "data", (ingress, admin, node))
    with (
        server([str(PROGRAM), *options[0]], folder / "server.log", environment=options[1]) as first,
        server(endpoint, folder / "endpoint.log", folder=HERE) as second,
    ):
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=CALL_WITHIN_S)
        ) as client:
            call = _call_over(client, f"http://127.0.0.1:{ingress}")
            async with asyncio.timeout(READY_WITHIN_S):
                await _registered(client, f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{port}", (first, second))
                await _answering(call, *ready)
            yield [first.pid, second.pid], call


def version() -> str:
    lock = json.loads((CACHE / "package-lock.json").read_text(encoding="utf-8"))
    return lock["packages"]["node_modules/@restatedev/restate-server-linux-x64"]["version"]


def _server(data: Path, ports: tuple[int, int, int]) -> tuple[list[str], dict[str, str]]:
    ingress, admin, node = ports
    settings = {
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_DEFAULT_NUM_PARTITIONS": PARTITIONS,
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "error",
        "DO_NOT_TRACK": "1",
    }
    return ["--base-dir", str(data), "--no-logo"], os.environ | settings


def _endpoint(port: int, application: str) -> list[str]:
    granian = str(Path(sys.executable).with_name("granian"))
    options = ["--interface", "asgi", "--http", "2", "--host", "127.0.0.1", "--port", str(port)]
    return [granian, *options, "--workers", "1", "--loop", "uvloop", "--no-ws", application]


async def _registered(
    client: aiohttp.ClientSession, admin: str, endpoint: str, processes: "tuple[subprocess.Popen[bytes], ...]"
) -> None:
    """Tell the server about the endpoint, as soon as both are there."""
    while True:
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args[0]} ended with {process.returncode}: see the logs in --folder")
        try:
            async with client.post(f"{admin}/deployments", json={"uri": endpoint}) as response:
                if response.status < 300:
                    return
        except aiohttp.ClientError:
            pass  # not listening yet
        await asyncio.sleep(0.02)


async def _answering(call: Call, path: str, body: Any) -> None:
    while True:
        try:
            await call(path, body)
        except (aiohttp.ClientError, RuntimeError):
            await asyncio.sleep(0.02)  # registered, but its partition has no leader yet
        else:
            return


def _call_over(client: aiohttp.ClientSession, ingress: str) -> Call:
    async def call(path: str, body: Any) -> Any:
        async with client.post(f"{ingress}/{path}", json=body) as response:
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {(await response.text())[:200]}")
            return await response.json()

    return call
