"""The machine's clock keeps its contract, and its ids are unique in any process."""

import subprocess
import sys

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.testing.clock_contract import ClockContract

PRINT_IDS = """
from penstock.adapters.clock.system import SystemClock
clock = SystemClock()
print("\\n".join(clock.new_id() for _ in range(2000)))
"""


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self):
        return SystemClock()


def test_ids_are_unique_across_processes():
    processes = [subprocess.Popen([sys.executable, "-c", PRINT_IDS], stdout=subprocess.PIPE, text=True) for _ in "ab"]
    ids = [each for process in processes for each in process.communicate(timeout=30)[0].split()]
    assert len(set(ids)) == len(ids) == 4000


def test_an_id_begins_with_the_time_it_was_made():
    clock = SystemClock()
    before_ms = clock.now_ms()
    made = clock.new_id()
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    time_ms = 0
    for letter in made[:10]:
        time_ms = time_ms * 32 + alphabet.index(letter)
    assert before_ms <= time_ms <= clock.now_ms()
