"""Of the jobs of one name the newest alone goes on: those before it are asked to end, and one that was frozen finds that it was dropped."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from penstock.adapters.kafka.broker import open_kafka
from penstock.errors import Unavailable
from penstock.flink.lease import Lease

pytestmark = pytest.mark.timeout(120)
SOON_S = 40
HOLDER = """
import sys, threading
from penstock.flink.lease import Lease

ended = threading.Event()
def newer(is_there):
    print("newer", is_there, flush=True)
    ended.set()

lease = Lease({"bootstrap.servers": sys.argv[1]}, sys.argv[2], sys.argv[3], newer)
lease.take(print)
print("taken", flush=True)
ended.wait()
lease.release()
print("left", flush=True)
"""


@pytest.fixture
def topic(kafka):
    name = f"t{secrets.token_hex(6)}"

    async def make():
        async with open_kafka(kafka.address) as broker:
            await broker.require([name], 2)

    asyncio.run(make())
    return name


class Told:
    """What a lease says, and when its job has stopped."""

    def __init__(self):
        self.newer = threading.Event()
        self.is_there = None

    def __call__(self, is_there):
        self.is_there = is_there
        self.newer.set()


@pytest.fixture
def lease(kafka, topic):
    made = []

    def make(name="job"):
        told = Told()
        made.append(Lease({"bootstrap.servers": kafka.hosts}, f"{topic}-{name}", topic, told))
        return made[-1], told

    yield make
    for each in made:
        each.release()


@contextmanager
def holder(kafka, topic):
    command = [sys.executable, "-c", HOLDER, kafka.hosts, f"{topic}-job", topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "taken\n"
            yield process
        finally:
            process.kill()


def test_a_newer_one_begins_when_the_one_before_it_has_left_and_no_sooner(lease):
    (first, told), (second, of_second), waits = lease(), lease(), []
    first.take(waits.append)
    assert waits == []
    taking = threading.Thread(target=second.take, args=(waits.append,))
    taking.start()
    assert told.newer.wait(SOON_S)
    assert told.is_there
    taking.join(3)
    assert taking.is_alive(), "it did not wait until the first one had stopped"
    first.release()
    taking.join(SOON_S)
    assert not taking.is_alive()
    assert len(waits) == 1
    assert not of_second.newer.is_set()


def test_jobs_of_other_names_do_not_mind_each_other(lease):
    (first, told), (other, of_other) = lease("one"), lease("another")
    first.take(print)
    other.take(print)
    assert not told.newer.is_set()
    assert not of_other.newer.is_set()


def test_one_that_does_not_end_is_said(lease):
    (first, _), (second, _) = lease(), lease()
    first.take(print)
    with pytest.raises(Unavailable, match="does not end"):
        second.take(print, within_s=3)
    first.release()


def test_one_that_was_killed_is_followed_when_kafka_has_dropped_it(kafka, topic, lease):
    second, _ = lease()
    with holder(kafka, topic) as process:
        process.kill()
        second.take(print, SOON_S)


def test_one_that_was_frozen_finds_when_it_wakes_that_another_goes_on(kafka, topic, lease):
    second, told = lease()
    with holder(kafka, topic) as process:
        os.kill(process.pid, signal.SIGSTOP)
        second.take(print, SOON_S)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout.read() == "newer False\nleft\n"
    assert not told.newer.is_set(), "the newest was ended by one that had been dropped"
