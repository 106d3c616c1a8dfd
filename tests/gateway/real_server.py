"""A real server on a free port of this machine, in the test's own event loop."""

import asyncio
import socket
from contextlib import asynccontextmanager

import httpx2
import uvicorn


@asynccontextmanager
async def served(api, **options):
    """Serve on a free port of this machine, and yield a client."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(api, log_level="error", timeout_graceful_shutdown=2, **options)
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(
                server._serve([listening])
            )  # without its signal handlers: the tests keep theirs
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            try:
                async with httpx2.AsyncClient(base_url=address, timeout=20) as client:
                    yield client
            finally:
                server.should_exit = True
                await serving
