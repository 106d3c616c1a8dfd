"""How hard a thread in the background works: for a share of its time, so that who searches and writes does not feel it.

Such a thread needs the interpreter between its computations, and who waits for it gets it back half a millisecond later, each
time. So after each piece it rests for longer than that piece took.
"""

import time
from collections.abc import Callable

REST_S_MIN = 0.0005
REST_S_MAX = 0.01
RESTS_TIMES = 2.0


class Pace:
    """To be called between pieces of work, in the thread that does it. `hurries`: whether there is time for short rests only."""

    def __init__(self, hurries: Callable[[], bool]) -> None:
        self._hurries = hurries
        self._worked_s = time.thread_time()

    def __call__(self) -> None:
        worked_s = time.thread_time() - self._worked_s
        time.sleep(REST_S_MIN if self._hurries() else min(REST_S_MAX, max(REST_S_MIN, RESTS_TIMES * worked_s)))
        self._worked_s = time.thread_time()
