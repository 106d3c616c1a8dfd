"""`penstock run --workers MIN-MAX`: more workers while what waits grows, fewer when nothing does, within the bounds."""

import os
import signal
import sys
import threading

import pytest

from penstock.cli.scaling import FEW, MANY, Fleet, watched_fleet
from penstock.cli.supervising import Worker, supervised
from penstock.errors import Unavailable


def seen(fleet, *looks):
    """Return how many workers there should be after each look: (seconds, waiting)."""
    return [fleet.look(waiting, now_s) for now_s, waiting in looks]


def test_a_worker_more_for_what_does_not_get_less_up_to_the_most():
    fleet = Fleet(1, 3, grow_s=6)
    rising = [(second, 1000 + second) for second in range(0, 60, 2)]
    assert seen(fleet, *rising)[:10] == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
    assert fleet.wanted == 3


def test_what_gets_less_or_is_soon_done_asks_for_nobody():
    assert seen(Fleet(1, 3, grow_s=6), *((second, 5000 - second) for second in range(0, 60, 2)))[-1] == 1
    assert seen(Fleet(1, 3, grow_s=6), *((second, MANY) for second in range(0, 60, 2)))[-1] == 1
    assert seen(Fleet(2, 3, grow_s=6), *((second, 2 * MANY) for second in range(0, 60, 2)))[-1] == 2


def test_a_worker_less_for_each_while_of_idleness_down_to_the_least():
    fleet = Fleet(1, 3, grow_s=2, idle_s=60)
    seen(fleet, *((second, 1000) for second in range(0, 12, 2)))
    assert fleet.wanted == 3
    assert seen(fleet, (20, 0), (79, FEW), (80, 0), (139, 0), (140, 0), (1000, 0)) == [3, 3, 2, 2, 1, 1]


def test_a_burst_begins_the_while_anew():
    fleet = Fleet(1, 2, grow_s=2, idle_s=60)
    seen(fleet, (0, 1000), (2, 1000))
    assert seen(fleet, (10, 0), (60, 50), (75, 0), (130, 0), (136, 0)) == [2, 2, 2, 2, 1]


@pytest.mark.timeout(60)
def test_processes_come_and_go_with_what_waits_whatever_a_look_runs_into(tmp_path):
    note = "import os, sys; open(sys.argv[1], 'w').close(); sys.stdin.read(); os.remove(sys.argv[1])"
    files = [tmp_path / f"worker-{number}" for number in range(3)]
    crew = [Worker([sys.executable, "-c", note, str(each)]) for each in files]
    phases = iter([True, *[False] * 100_000])
    waiting, at_work, ended = [1000], [], threading.Event()

    def look():
        if next(phases):
            raise Unavailable("the store", "read")
        at_work.append(sum(each.exists() for each in files))
        if at_work[-1] == 3:
            waiting[0] = 0
        if not waiting[0] and at_work[-1] == 1:
            ended.set()
        return waiting[0]

    def wanted():
        if ended.is_set():
            os.kill(os.getpid(), signal.SIGTERM)  # as a person who stops it
        return fleet.wanted

    with watched_fleet(Fleet(1, 3, grow_s=0.3, idle_s=0.3), look, every_s=0.1) as fleet:
        assert supervised(crew, wanted) == 0
    assert max(at_work) == 3
    assert not any(each.exists() for each in files)
