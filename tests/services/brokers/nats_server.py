"""A NATS with JetStream for the tests: the one that PENSTOCK_NATS names ("HOST:PORT"), or one of our own, built by Go, or Debian's."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from own_process import (
    NoServerError,
    OwnProcess,
    alone,
    answers,
    free_port,
    installed_by_apt,
    require,
    run,
    services_folder,
)

VERSION = "v2.15.2"
PROGRAM = "github.com/nats-io/nats-server/v2"


class Nats:
    """A NATS that is there. `address` is what `log` names; `process` is None where it is not ours."""

    def __init__(self, hosts: str, process: OwnProcess | None = None) -> None:
        self.hosts = hosts
        self.address = f"nats://{hosts}"
        self.process = process


@contextmanager
def required_nats() -> Generator[Nats]:
    """Yield a running NATS; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    given = os.environ.get("PENSTOCK_NATS")
    if given:
        yield Nats(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="penstock-nats-"))
    try:
        try:
            nats = own_nats(folder)
        except NoServerError as error:
            require("nats", error)
            raise
        try:
            yield nats
        finally:
            assert nats.process is not None
            nats.process.kill()
            nats.process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_nats(folder: Path, more: str = "", *, streams: bool = True) -> Nats:
    """Start a NATS whose data lie in a folder; `more`: what its file of settings says."""
    port = free_port()
    (folder / "nats.conf").write_text(more)
    stored = ["-js", "-sd", folder] if streams else []
    command = [_installed(), "-c", folder / "nats.conf", "-a", "127.0.0.1", "-p", str(port), *stored]
    process = OwnProcess(command, folder, lambda: answers(port))
    process.start()
    return Nats(f"127.0.0.1:{port}", process)


def _installed() -> Path:
    """Return a server: of Go's module where there is a Go, as Debian's is old."""
    home = services_folder() / f"nats-{VERSION}"
    go = shutil.which("go")
    with alone("nats"):
        if not (home / "nats-server").exists() and go is not None:
            home.mkdir(parents=True, exist_ok=True)
            run([go, "install", f"{PROGRAM}@{VERSION}"], environment={"GOBIN": str(home)})
    if (home / "nats-server").exists():
        return home / "nats-server"
    return installed_by_apt("nats-server", "nats-server")


@contextmanager
def secure_nats(more: str, *, streams: bool = True) -> Generator[Nats]:
    """Yield a NATS of our own with these settings; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-nats-"))
    try:
        try:
            nats = own_nats(folder, more, streams=streams)
        except NoServerError as error:
            require("nats", error)
            raise
        assert nats.process is not None
        try:
            yield nats
        finally:
            nats.process.kill()
            nats.process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
