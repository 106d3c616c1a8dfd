import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from penstock.adapters.sqlite.lock import locked
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.errors import Invalid, Refused

HOLD = """
import sys
from pathlib import Path
from penstock.adapters.sqlite.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a folder" / "app.db"


@contextmanager
def another_process(path):
    """A process that holds the store until its input is closed, or it is killed."""
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


async def test_a_store_of_another_process_is_refused_and_its_holder_named(path):
    with another_process(path) as process:
        with pytest.raises(Refused, match=f"app.db is in use by process {process.pid} on {socket.gethostname()}"):
            async with open_sqlite_store(path):
                pass
        assert not path.exists(), "who was refused must not touch the store"


async def test_a_killed_process_holds_nothing(path):
    with another_process(path) as process:
        process.kill()
        process.wait()
    async with open_sqlite_store(path) as store:
        await store.claim("here")


def test_a_store_that_was_closed_is_free_and_nothing_is_left_behind(path):
    with another_process(path) as process:
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    with locked(path):
        assert path.with_name("app.db-lock").exists()
    assert list(path.parent.iterdir()) == []


def test_the_same_process_shares_its_lock_until_the_last_one_lets_go(path):
    with locked(path):
        with locked(path.parent / ".." / path.parent.name / path.name):
            pass
        refused = subprocess.run(
            [sys.executable, "-c", HOLD, path], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert f"in use by process {os.getpid()}" in refused.stderr
    with another_process(path):
        pass


def test_threads_of_a_process_take_turns(path):
    failures = []

    def often():
        try:
            for _ in range(20):
                with locked(path):
                    pass
        except Refused as error:
            failures.append(error)

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_two_stores_of_one_folder_are_apart(path):
    with another_process(path), locked(path.with_name("other.db")):
        pass


def test_a_failure_within_lets_go(path):
    with pytest.raises(ZeroDivisionError), locked(path):
        raise ZeroDivisionError
    with another_process(path):
        pass


def test_a_lock_that_is_no_lock_is_said_to_be_damaged(path):
    path.parent.mkdir()
    path.with_name("app.db-lock").write_bytes(b"something else entirely" * 100)
    with pytest.raises(Invalid), locked(path):
        pass


def test_a_folder_that_cannot_be_made_is_refused(path):
    path.parent.write_text("a file, where the folder should be")
    with pytest.raises(Refused, match="cannot be opened"), locked(path):
        pass
