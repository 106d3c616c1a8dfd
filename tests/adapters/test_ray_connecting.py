"""How an app comes to a Ray, where Ray itself fails now and then: with what takes the place of Ray's library."""

import asyncio
import sys
import threading
from types import SimpleNamespace

import pytest

from penstock.adapters.ray.host import DOOR_FAILED, TRIES, apart, open_ray
from penstock.errors import Unavailable


class Library:
    """Ray's library, as far as it connects: `fails` so many times."""

    def __init__(self, fails):
        self.fails = fails
        self.tried = 0
        self.connected = False

    def init(self, **_):
        self.tried += 1
        if self.tried <= self.fails:
            raise ConnectionAbortedError(
                f"Initialization failure from server:\nRuntimeError: {DOOR_FAILED}. See the log."
            )
        self.connected = True

    def is_initialized(self):
        return self.connected

    def shutdown(self):
        self.connected = False

    def remote(self, kind):
        return SimpleNamespace(kind=kind)


@pytest.fixture
def use(monkeypatch):
    def used(library):
        monkeypatch.setitem(sys.modules, "ray", library)
        return library

    return used


async def test_a_door_that_fails_to_open_is_tried_again(use):
    library = use(Library(fails=TRIES - 1))
    async with open_ray("ray"):
        assert library.connected
    assert library.tried == TRIES
    assert not library.connected


async def test_a_door_that_never_opens_is_an_error_that_says_what_to_do(use):
    library = use(Library(fails=TRIES))
    with pytest.raises(Unavailable, match="GRPC_ENABLE_FORK_SUPPORT=0"):
        async with open_ray("ray"):
            pass
    assert library.tried == TRIES


async def test_what_blocks_for_ever_holds_up_nobody():
    never = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await apart(never.wait)
    (thread,) = [each for each in threading.enumerate() if each.name == "penstock-ray"]
    assert thread.daemon  # nor the end of the process
    never.set()


async def test_what_is_raised_apart_is_raised_here():
    with pytest.raises(KeyError, match="gone"):
        await apart(lambda: {}["gone"])
