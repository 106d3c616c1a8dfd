"""Processes that work on one store: one that dies is started again, and meanwhile the others take over what it owned."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection

from penstock.core.agents.policy import Retry

STOP_S = 15.0
LOOK_EVERY_S = 0.2
LASTED_S = 30.0  # a worker that lived so long was well: its next end begins the count anew
BACKOFF = Retry(delay_s=0.2, delay_max_s=10.0)
UNUSABLE = 2  # the exit code of an error that a second start would find again
START_AGAIN = 75  # that of a worker that lost its place, by nobody's fault


class Worker:
    """One process, started again when it ends by itself."""

    def __init__(self, command: list[str], inherited: Collection[int] = ()) -> None:
        self._command = command
        self._inherited = inherited  # files that it is born with
        self._failures = 0
        self._start_at_s = 0.0
        self._began_s = 0.0
        self._resting_s: float | None = None  # since when it is asked to end, as one that is not needed
        self.process: subprocess.Popen[bytes] | None = None

    def look(self, now_s: float) -> int | None:
        """Start the process when it is time; return its exit code when another start would end the same way."""
        if self.process is None:
            if now_s >= self._start_at_s:
                # A session of its own: Ctrl-C reaches us alone, and we decide what follows.
                self.process = subprocess.Popen(  # noqa: S603
                    self._command, stdin=subprocess.PIPE, start_new_session=True, pass_fds=tuple(self._inherited)
                )
                self._began_s = now_s
            return None
        code = self.process.poll()
        if code is None:
            return None
        if self._resting_s is not None:  # it was not needed, and is again
            self.process, self._resting_s = None, None
            return None
        if code == UNUSABLE:
            return code
        self._failures = 1 if now_s - self._began_s >= LASTED_S else self._failures + 1
        wait_s = BACKOFF.wait_s(self._failures, 0.5)
        self._start_at_s = now_s + wait_s
        said = f"worker {self.process.pid} ended with {code}"
        print(
            f"penstock: {said}; the others take over, and it starts again in {wait_s:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        self.process = None
        return None

    def rest(self, now_s: float) -> None:
        """Have it end, since it is not needed now; it is killed when that takes too long."""
        if self.process is None:
            self._start_at_s, self._failures = 0.0, 0
        elif self.process.poll() is not None:
            self.process, self._resting_s = None, None
        elif self._resting_s is None:
            self._resting_s = now_s
            self.close()
        elif now_s - self._resting_s > STOP_S:
            self.process.kill()

    def close(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def wait(self, until_s: float) -> None:
        """See it to its end."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def supervised(workers: list[Worker], wanted: Callable[[], int] | None = None) -> int:
    """Keep processes running until Ctrl-C, or until one ends as each start would; return the exit code.

    `wanted`: how many of them are needed now, the first ones; all, if it is not given.
    """
    stop = threading.Event()

    def stopped(*_: object) -> None:
        stop.set()

    before = {each: signal.signal(each, stopped) for each in (signal.SIGINT, signal.SIGTERM)}
    code = 0
    try:
        while not stop.is_set() and not code:
            needed = len(workers) if wanted is None else wanted()
            for number, worker in enumerate(workers):
                if number < needed:
                    code = code or worker.look(time.monotonic()) or 0
                else:
                    worker.rest(time.monotonic())
            stop.wait(LOOK_EVERY_S)
    finally:
        for worker in workers:
            worker.close()
        until_s = time.monotonic() + STOP_S
        for worker in workers:
            worker.wait(until_s)
        for each, handler in before.items():
            signal.signal(each, handler)
    return code
