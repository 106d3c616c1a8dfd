"""A Milvus for the tests: the server that PENSTOCK_MILVUS_URL names, or Milvus Lite as a server of its own on 127.0.0.1.

Milvus Lite is Milvus's API over an engine of its own (Python and faiss): what holds of it is said in docs/knowledge.md.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from moto_server import end

START_S = 120


@contextmanager
def required_milvus() -> Generator[str]:
    """Yield the address of a running server; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    given = os.environ.get("PENSTOCK_MILVUS_URL")
    if given:
        yield given
        return
    if find_spec("milvus_lite") is None:
        if os.environ.get("PENSTOCK_REQUIRE_SERVICES") == "1":
            pytest.fail("pip install pymilvus milvus-lite")
        pytest.skip("NOT TESTED ON MILVUS: pymilvus and milvus-lite are not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="penstock-milvus-") as name:
        folder = Path(name)
        where = ["--data-dir", str(folder / "data.db"), "--host", "127.0.0.1", "--port", str(port)]
        command = [sys.executable, "-m", "milvus_lite", "server", *where]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_until_ready(process, port, folder / "log")
            yield f"milvus://127.0.0.1:{port}"
        finally:
            end(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    last = time.monotonic() + START_S
    while time.monotonic() < last and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)  # a pause, unless it ends
    raise RuntimeError(f"milvus did not start: {log.read_text()[-500:]}")
