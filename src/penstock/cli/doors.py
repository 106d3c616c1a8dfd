"""Doors of a process: the socket at which it listens, and a web server that leaves signals to us."""

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from penstock.errors import Refused

BACKLOG = 2048


class Server(uvicorn.Server):
    """A server that leaves signals to us, and says when it is up. `grace_s`: what requests get to end."""

    def __init__(
        self, api: Any, on_started: Callable[[], None], *, grace_s: int, concurrency_max: int | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                api,
                lifespan="off",
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=grace_s,
                limit_concurrency=concurrency_max,
            )
        )
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def listening_at(host: str, port: int, option: str) -> socket.socket:
    """Return a socket that listens there; `Refused` where that cannot be, with the option that says another place."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Refused(f"{host}:{port} cannot be listened at ({error})", f"choose another {option}") from error


def url_of(host: str, listening: socket.socket) -> str:
    """Return the address of a door, as a browser takes it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
