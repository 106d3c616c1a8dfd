"""AWS as a server of our own, for tests: moto, on 127.0.0.1, in a process that is ended by its own pid.

`aws_server()` yields one; it holds nothing when it starts. Clients find it by `endpoint_url` and the credentials in `ENVIRONMENT`.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

START_S = 30
STOP_S = 5
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def aws_server() -> Generator[str]:
    """Yield the address of a server, and end it again."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with tempfile.TemporaryDirectory(prefix="penstock-moto-") as folder, (Path(folder) / "log").open("wb") as log:
        environment = {**os.environ, **ENVIRONMENT, "MOTO_PORT": str(port)}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_until_ready(process, address, Path(folder) / "log")
            yield address
        finally:
            end(process)


def end(process: "subprocess.Popen[bytes]", stop_s: float = STOP_S) -> None:
    """End a server, by force if it does not end by itself within `stop_s`."""
    process.terminate()
    try:
        process.wait(stop_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(stop_s)


def client(service: str, address: str) -> Any:
    """Return a client of a service there."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        config=Config(retries={"total_max_attempts": 1}),
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    last = time.monotonic() + START_S
    while time.monotonic() < last and process.poll() is None:
        with (
            suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=5),
        ):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)  # a pause, unless it ends
    raise RuntimeError(f"moto did not start: {log.read_text()[-500:]}")
