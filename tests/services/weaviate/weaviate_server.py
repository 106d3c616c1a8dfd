"""A Weaviate for the tests: the one that PENSTOCK_WEAVIATE_URL names (weaviate://HOST:PORT?grpc_port=PORT), or one of our own.

- Ours is built once (`build_weaviate`). It listens on every address, so it gets a network of its own (`unshare -n`, as root): the
  tests reach it through ports on 127.0.0.1, whose connections are made within that network.
- It is ended by its own pid, and dies with its parent.
"""

import ctypes
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from build_weaviate import binary, lack
from moto_server import end

START_S = 45
HTTP, GRPC = 8380, 50551
PIECE = 65_536
NEW_NETWORK = 0x40000000
KEY = "key-of-the-tests"  # who gives one must give this
SETTINGS = {
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
    "AUTHENTICATION_APIKEY_ENABLED": "true",
    "AUTHENTICATION_APIKEY_ALLOWED_KEYS": KEY,
    "AUTHENTICATION_APIKEY_USERS": "tests",
    "DEFAULT_VECTORIZER_MODULE": "none",
    "ENABLE_MODULES": "",
    "DISABLE_TELEMETRY": "true",
    "GRPC_PORT": str(GRPC),
    "CLUSTER_HOSTNAME": "node1",
    "CLUSTER_BIND_ADDR": "127.0.0.1",
    "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
    "RAFT_JOIN": "node1",
    "RAFT_BOOTSTRAP_EXPECT": "1",
    "LOG_LEVEL": "error",
    "GOMEMLIMIT": "1GiB",
    "GO_PROFILING_DISABLE": "true",
    "RAFT_TIMEOUTS_MULTIPLIER": "1",  # one node elects itself: a second is enough
}


class Weaviate:
    """A server that is there. `url` has options already."""

    def __init__(self, url: str) -> None:
        self.url = url


@contextmanager
def required_weaviate() -> Generator[Weaviate]:
    """Yield a running server; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    if given := os.environ.get("PENSTOCK_WEAVIATE_URL"):
        yield Weaviate(given)
        return
    program, reason = binary(), lack()
    if program is None or reason:
        if os.environ.get("PENSTOCK_REQUIRE_SERVICES") == "1":
            pytest.fail(f"no Weaviate: {reason}")
        pytest.skip(f"NOT TESTED ON WEAVIATE: {reason}")
    with (
        tempfile.TemporaryDirectory(prefix="penstock-weaviate-") as name,
        _started(program, Path(name)) as process,
        _bridge(process.pid, HTTP) as http,
        _bridge(process.pid, GRPC) as grpc,
    ):
        _wait_until_ready(process, http, Path(name) / "log")
        yield Weaviate(f"weaviate://127.0.0.1:{http}?grpc_port={grpc}")


@contextmanager
def _started(program: Path, folder: Path) -> Generator["subprocess.Popen[bytes]"]:
    serve = f'ip link set lo up && exec "{program}" --host 127.0.0.1 --port {HTTP} --scheme http'
    command = ["unshare", "-n", "setpriv", "--pdeathsig=KILL", "--", "sh", "-c", serve]
    environment = {**os.environ, **SETTINGS, "PERSISTENCE_DATA_PATH": str(folder / "data")}
    # "Dies with us" means with the thread that made it: this one lasts.
    with (folder / "log").open("wb") as log, ThreadPoolExecutor(1) as starter:
        started = starter.submit(subprocess.Popen, command, env=environment, stdout=log, stderr=log, cwd=folder)
        process = started.result(START_S)
        try:
            yield process
        finally:
            end(process, 15)


@contextmanager
def _bridge(pid: int, port: int) -> Generator[int]:
    """Yield a port on 127.0.0.1 that leads to one in the network of a process."""
    inside = ThreadPoolExecutor(1, initializer=_enter, initargs=(pid,))
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, inside, port), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        inside.shutdown(wait=False)


def _enter(pid: int) -> None:
    """Have this thread make its sockets in the network of a process, once that has one of its own."""
    own = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == own:
        time.sleep(0.01)
    with Path(f"/proc/{pid}/ns/net").open("rb") as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")


def _accept(listener: socket.socket, inside: ThreadPoolExecutor, port: int) -> None:
    with suppress(OSError, RuntimeError):
        while True:
            here, _ = listener.accept()
            try:
                there = inside.submit(socket.create_connection, ("127.0.0.1", port), 5).result(10)
            except OSError:
                here.close()
                continue
            there.settimeout(None)
            for each in (here, there):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for way in ((here, there), (there, here)):
                threading.Thread(target=_pass, args=way, daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    source.close()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    import urllib.request

    last = time.monotonic() + START_S
    while time.monotonic() < last and process.poll() is None:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/.well-known/ready", timeout=5),
        ):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)  # a pause, unless it ends
    raise RuntimeError(f"weaviate did not start: {log.read_text()[-500:]}")
