"""Temporal's development server on 127.0.0.1 with a SQLite file, and a client of it, for as long as a block lasts."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from processes import free_ports, server
from temporalio.client import Client
from temporalio.service import RPCError

PROGRAM = Path(sys.executable).with_name("temporal")
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL")
READY_WITHIN_S = 60.0


@asynccontextmanager
async def started(folder: Path) -> AsyncGenerator[tuple[Client, int]]:
    """Yield a client and the server's process id."""
    port, http, metrics = free_ports(3)
    command = [str(PROGRAM), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    command += ["--http-port", str(http), "--metrics-port", str(metrics), "--log-level", "error"]
    command += ["--db-filename", str(folder / "temporal.db")]
    command += [part for pragma in PRAGMAS for part in ("--sqlite-pragma", pragma)]
    with server(command, folder / "server.log") as process:
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                if process.poll() is not None:
                    raise RuntimeError(f"the server ended with {process.returncode}: see server.log in --folder")
                try:
                    client = await Client.connect(f"127.0.0.1:{port}")
                    break
                except (RuntimeError, RPCError):
                    await asyncio.sleep(0.02)  # not listening yet
        yield client, process.pid
