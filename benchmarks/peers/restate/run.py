"""W1 on Restate: its server and its Python endpoint on 127.0.0.1, loaded over its HTTP ingress.

- Settings are the best that were found on a machine of two cores: granian instead of hypercorn, one partition instead of 24.
- Both processes are ended by their own ids, the endpoint with all its workers; every wait has a bound.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop
import workload
from workload import w1

CACHE = Path(sys.prefix).parent
SERVER = CACHE / "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server"
HERE = Path(__file__).resolve().parent
PARTITIONS = os.environ.get("PENSTOCK_BENCH_RESTATE_PARTITIONS", "1")
READY_WITHIN_S = 60.0
ENDED_WITHIN_S = 10.0
PRELOADS_AT_ONCE = 32
CALL_WITHIN_S = 120.0


async def main() -> None:
    given = workload.arguments("peers/restate/run.py")
    given.folder.mkdir(parents=True, exist_ok=True)
    async with _restate(given.folder) as (pids, call):
        limit = asyncio.Semaphore(PRELOADS_AT_ONCE)

        async def preload(session: str) -> None:
            async with limit:
                await call(f"agent/{session}/preload", session)

        async with asyncio.TaskGroup() as preloads:
            for number in range(w1.SESSIONS):
                preloads.create_task(preload(w1.session_of(number)))
        before = workload.disk_bytes(given.folder / "data")
        measured = await workload.closed_loop(
            lambda number: call(f"agent/{w1.session_of(number)}/turn", w1.text_of(number)),
            workload.plan_of(given),
            lambda: workload.usage(pids),
            expected=w1.REPLY,
        )
        grown = workload.disk_bytes(given.folder / "data") - before
    server = {"server": _server_version(), "partitions": PARTITIONS}
    workload.report(measured, grown, ("restate-sdk", "granian", "aiohttp", "numpy", "uvloop"), settings=server)


@asynccontextmanager
async def _restate(folder: Path) -> AsyncGenerator[tuple[list[int], Callable[[str, Any], Awaitable[Any]]]]:
    """Start both processes, and yield their ids and a call over the ingress."""
    ingress, admin, node, endpoint = _free_ports(4)
    with (folder / "server.log").open("wb") as server_log, (folder / "endpoint.log").open("wb") as endpoint_log:
        server = _start_server(folder / "data", (ingress, admin, node), server_log)
        service = _start_endpoint(endpoint, endpoint_log)
        try:
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=CALL_WITHIN_S)
            ) as client:
                call = _call_over(client, f"http://127.0.0.1:{ingress}")
                async with asyncio.timeout(READY_WITHIN_S):
                    await _registered(client, f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{endpoint}", server, service)
                    await _answering(call)
                yield [server.pid, service.pid], call
        finally:
            _end(service)
            _end(server)


def _start_server(data: Path, ports: tuple[int, int, int], log: Any) -> subprocess.Popen[bytes]:
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
    command = [str(SERVER), "--base-dir", str(data), "--no-logo"]
    return subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT)


def _start_endpoint(port: int, log: Any) -> subprocess.Popen[bytes]:
    granian = str(Path(sys.executable).with_name("granian"))
    options = ["--interface", "asgi", "--http", "2", "--host", "127.0.0.1", "--port", str(port)]
    command = [granian, *options, "--workers", "1", "--loop", "uvloop", "--no-ws", "service:app"]
    return subprocess.Popen(command, cwd=HERE, stdout=log, stderr=subprocess.STDOUT)


async def _registered(
    client: aiohttp.ClientSession, admin: str, endpoint: str, *processes: subprocess.Popen[bytes]
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
        await asyncio.sleep(0.1)


async def _answering(call: Callable[[str, Any], Awaitable[Any]]) -> None:
    while True:
        try:
            await call(f"agent/{w1.session_of(0)}/preload", w1.session_of(0))
        except (aiohttp.ClientError, RuntimeError):
            await asyncio.sleep(0.1)  # registered, but its partition has no leader yet
        else:
            return


def _call_over(client: aiohttp.ClientSession, ingress: str) -> Callable[[str, Any], Awaitable[Any]]:
    async def call(path: str, body: Any) -> Any:
        async with client.post(f"{ingress}/{path}", json=body) as response:
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {(await response.text())[:200]}")
            return await response.json()

    return call


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours with its children: granian's workers outlive their parent."""
    try:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in tree:
        with suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(tree, timeout=ENDED_WITHIN_S)
    for each in alive:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait(ENDED_WITHIN_S)


def _server_version() -> str:
    lock = json.loads((CACHE / "package-lock.json").read_text(encoding="utf-8"))
    return lock["packages"]["node_modules/@restatedev/restate-server-linux-x64"]["version"]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
