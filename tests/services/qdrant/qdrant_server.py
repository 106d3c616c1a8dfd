"""A Qdrant for the tests: the server that PENSTOCK_QDRANT_URL names, or Qdrant's engine behind a front of ours (`edge_rest.py`)."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from moto_server import end

START_S = 120
KEY = "a key of the tests"


class Qdrant(NamedTuple):
    """A server: `url` as the setting has it, without a prefix."""

    url: str
    key: str
    folder: Path | None = None  # of one that is ours

    @contextmanager
    def lent(self, key: str) -> Generator[Callable[[], None]]:
        """Let a second key in, until what is yielded is called."""
        if self.folder is None:
            pytest.skip("NOT TESTED ON QDRANT: the keys of the server that is given are its own")
        file = self.folder / "lent"
        file.write_text(key)
        try:
            yield file.unlink
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def required_qdrant() -> Generator[Qdrant]:
    """Yield a running server; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    given = os.environ.get("PENSTOCK_QDRANT_URL")
    if given:
        yield Qdrant(given, os.environ.get("QDRANT_API_KEY", ""))
        return
    if find_spec("qdrant_edge") is None or find_spec("qdrant_client") is None:
        if os.environ.get("PENSTOCK_REQUIRE_SERVICES") == "1":
            pytest.fail("pip install qdrant-client qdrant-edge-py")
        pytest.skip("NOT TESTED ON QDRANT: qdrant-client and qdrant-edge-py are not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="penstock-qdrant-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        script = Path(__file__).with_name("edge_rest.py")
        command = [sys.executable, str(script), str(port), str(folder / "data"), KEY]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}/collections", folder / "log")
            yield Qdrant(f"qdrant://127.0.0.1:{port}", KEY, folder)
        finally:
            end(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    last = time.monotonic() + START_S
    while time.monotonic() < last and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it asks for a key
        except (urllib.error.URLError, OSError):
            pass
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)  # a pause, unless it ends
    raise RuntimeError(f"qdrant did not start: {log.read_text()[-500:]}")
