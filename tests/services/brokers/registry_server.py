"""A schema registry for the tests: an app of ours that keeps schemas, behind a real server, with a password if it is to have one."""

import asyncio
import base64
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from penstock import App
from penstock.gateway import web_app


@asynccontextmanager
async def registry_server(user: str = "", password: str = "") -> AsyncGenerator[str]:
    """Yield the address of a registry."""
    app = App("registry")
    app.schemas()
    async with app.running(store="memory:") as running:
        api: Any = web_app(running)
        given = b"Basic " + base64.b64encode(f"{user}:{password}".encode())

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and user and dict(scope["headers"]).get(b"authorization") != given:
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b"who are you?"})
                return
            await api(scope, receive, send)

        async with served(guarded) as port:
            yield f"http://127.0.0.1:{port}/v1/registry"


@asynccontextmanager
async def served(api: Any) -> AsyncGenerator[int]:
    """Yield the port at which an application of the web is served."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(api, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server._serve([listening]))  # without its signal handlers: the tests keep theirs
            try:
                yield listening.getsockname()[1]
            finally:
                server.should_exit = True
