"""A child process of a conformance test, and what it told."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from penstock.testing.conformance.life import Life

LIFE_S_MAX = 150.0  # a worker that first asks a host takes its time on a machine that has too much to do
STOP_S = 20.0
SIGKILLED = -9
Said = tuple[str, str, str]  # what, name, value


async def lived(life: Life) -> tuple[int, list[Said]]:
    """Run one life to its end, and return its exit code and what it told."""
    process = await _begun(life)
    try:
        async with asyncio.timeout(LIFE_S_MAX):
            output, _ = await process.communicate()
    except TimeoutError:
        await _killed(process)
        return 1, [("failed", "TimedOut", f"it lived longer than {LIFE_S_MAX:g} s")]
    except BaseException:
        await _killed(process)
        raise
    code = process.returncode
    assert code is not None
    return code, [_said(line) for line in output.decode().splitlines()]


class Child:
    """A worker beside us, until it is closed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, which: signal.Signals) -> None:
        os.kill(self._process.pid, which)

    async def told(self, what: str, within_s: float) -> Said | None:
        """Return the next thing of a kind that it tells; None when it does not in time, or ends before."""
        stdout = self._process.stdout
        assert stdout is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                async for line in stdout:
                    said = _said(line.decode().rstrip("\n"))
                    if said[0] == what:
                        return said
        return None


@asynccontextmanager
async def worker(life: Life) -> AsyncGenerator[Child]:
    """Yield a worker that shares the store, and stop it at the end."""
    process = await _begun(life)
    try:
        yield Child(process)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()
        await _killed(process)


async def _begun(life: Life) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "penstock.testing.conformance.life", msgspec.json.encode(life).decode()]
    with (Path(life.folder) / "workers.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=log)


async def _killed(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _said(line: str) -> Said:
    what, name, value = line.split(" ", 2)
    return what, name, value
