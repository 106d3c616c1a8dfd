"""Stores that speak S3, for tests, on 127.0.0.1: moto, and MinIO where its binary is.

MinIO comes with `go install github.com/minio/minio@latest` (three minutes); PENSTOCK_MINIO names the binary, or it is on the path.
Credentials stand in the environment while a server runs, since that is where boto3 looks.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress

import pytest
from moto_server import aws_server, end

KEY = "penstock-tests"
START_S = 30
STOP_S = 10


@contextmanager
def moto() -> Generator[str]:
    """Yield the address of moto's server."""
    with aws_server() as address, _credentials():
        yield address


@contextmanager
def minio() -> Generator[str]:
    """Yield the address of a MinIO of our own; skip where there is none, loudly."""
    binary = os.environ.get("PENSTOCK_MINIO") or shutil.which("minio")
    if not binary:
        pytest.skip(
            "NOT TESTED ON MINIO: go install github.com/minio/minio@latest, and set PENSTOCK_MINIO to its binary"
        )
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="penstock-minio-") as folder, _credentials() as environment:
        environment |= {
            "MINIO_ROOT_USER": KEY,
            "MINIO_ROOT_PASSWORD": KEY,
            "MINIO_UPDATE": "off",
            "MINIO_BROWSER": "off",
        }
        command = [binary, "server", "--quiet", "--address", f"127.0.0.1:{port}", folder]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_ready(process, f"{address}/minio/health/ready")
            yield address
        finally:
            end(process, STOP_S)


@contextmanager
def _credentials() -> Generator[dict[str, str]]:
    before = dict(os.environ)
    os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY, "AWS_EC2_METADATA_DISABLED": "true"}
    try:
        yield dict(os.environ)
    finally:
        os.environ.clear()
        os.environ |= before


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str) -> None:
    last = time.monotonic() + START_S
    while time.monotonic() < last and process.poll() is None:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=5):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)  # a pause, unless it ends
    raise RuntimeError("minio did not start")
