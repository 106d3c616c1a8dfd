"""The contract of a store that is tidied while its processes are killed: with SIGKILL, at any moment of real work.

    class TestMyStoreIsTidied(TidyingContract):
        @pytest.fixture
        def address(self) -> str:
            return "sqlite:..."      # of a store that is not made yet; `penstock.testing.stores` opens it

No value that a row refers to is lost, none that nobody refers to stays for ever, and no event goes that is not in the archive.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.exports.jsonl import JsonlReader
from penstock.core.agents.unit import Writes
from penstock.core.exports.copying import add_row, digests_of
from penstock.core.exports.keys import fresh
from penstock.core.exports.lines import End, Header, decode_line
from penstock.testing.stores import durable_store
from penstock.testing.tidying_loop import talking, values_of

KILLS = 4
SIGKILLED = -9
EXIT_S = 60


class TidyingContract:
    @pytest.fixture
    def address(self) -> str:
        raise NotImplementedError("supply the address of a store that is not made yet")

    async def test_kills_amid_work_and_tidying_lose_nothing_and_leak_nothing(
        self, address: str, tmp_path: Path
    ) -> None:
        durable: set[str] = set()
        rounds = 0
        for kill in range(KILLS):
            told = killed(address, tmp_path / "kept", after=3 + 7 * kill)
            rounds += told.count("tidied")
            durable.update(each for each in told if each != "tidied")
            async with durable_store(address) as store:
                wanted = await values_of(store)
                assert wanted == set(await store.blobs(list(wanted))), "a value that is referred to is gone"
                there = {each.event.id for each in await store.read("said", 0, after=0, limit=100_000)}
            kept = archived(tmp_path / "kept")
            assert set(digests_of(kept)) <= {blob.digest for blob in kept.blobs}
            there |= {each.event.id for each in kept.events}
            assert durable <= there, f"{durable - there} is nowhere"
            assert fresh(kept, Writes())[1] == [], "the archive contradicts itself"
        assert rounds >= KILLS
        await self._expect_no_leak(address)

    async def _expect_no_leak(self, address: str) -> None:
        async with talking().running(store=address) as live:
            assert await live.engine.settled(60)
        async with durable_store(address) as store:
            wanted = await values_of(store)
            far = SystemClock().now_ms() + 10**10
            await store.sweep_blobs(before_ms=far, after=b"", limit=100_000)
            left = {each.kind: each.rows for each in (await store.usage()).parts}
            assert left.get("blobs", 0) == len(wanted)
            assert wanted == set(await store.blobs(list(wanted)))


def killed(address: str, folder: Path, *, after: int) -> list[str]:
    """Let a process work and tidy, kill it so many lines after its first round, and return what it told."""
    command = [sys.executable, "-m", "penstock.testing.tidying_loop", address, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        told = [process.stdout.readline()]
        while told[-1] not in ("", "tidied\n"):
            told.append(process.stdout.readline())
        told += [process.stdout.readline() for _ in range(after)]
        assert told[-1], "the worker ended by itself"
        process.kill()
        rest = process.stdout.read().split("\n")[:-1]  # what follows the last line break is half an id
        assert process.wait(timeout=EXIT_S) == SIGKILLED
    return [each.strip() for each in (*told, *rest)]


def archived(folder: Path) -> Writes:
    """Return all rows in an archive; each of its files is whole."""
    found = Writes()
    for path in sorted(folder.glob("*/[!.]*")):
        lines = [decode_line(body) for _, body in JsonlReader(path).lines()]
        assert isinstance(lines[0], Header)
        assert isinstance(lines[-1], End), f"{path} is not whole"
        for line in lines[1:-1]:
            add_row(found, line)
    return found
