"""An archive keeps parts whole: in a folder, over kills, and in memory."""

import os
import subprocess
import sys

import pytest

from penstock.adapters.clock.system import SystemClock
from penstock.adapters.exports.archive import FolderArchive
from penstock.adapters.exports.jsonl import JsonlReader
from penstock.core.exports.lines import End, Header, decode_line
from penstock.errors import Refused
from penstock.testing.archive_contract import ArchiveContract, pages
from penstock.testing.archives import MemoryArchive
from penstock.testing.exports_contract import lines

KEEPING = """
import asyncio, pathlib, sys
from penstock.adapters.clock.system import SystemClock
from penstock.adapters.exports.archive import FolderArchive
from penstock.testing.archive_contract import pages
from penstock.testing.exports_contract import lines

async def main():
    archive = FolderArchive(pathlib.Path(sys.argv[1]), SystemClock())
    for number in range(100_000):
        await archive.keep(pages(list(lines(50))))
        print(number + 1, flush=True)

asyncio.run(main())
"""


def rows_in(folder):
    found = []
    for path in sorted(folder.glob("*/[!.]*")):
        read = [decode_line(body) for _, body in JsonlReader(path).lines()]
        assert isinstance(read[0], Header)
        assert isinstance(read[-1], End)
        found.append(read[1:-1])
    return found


class TestFolderArchive(ArchiveContract):
    @pytest.fixture
    def archive(self, tmp_path):
        return FolderArchive(tmp_path, SystemClock())

    @pytest.fixture
    def parts(self, tmp_path):
        return lambda: rows_in(tmp_path)


class TestMemoryArchive(ArchiveContract):
    @pytest.fixture
    def archive(self):
        return MemoryArchive()

    @pytest.fixture
    def parts(self, archive):
        return lambda: [part[1:] for part in archive.parts]


def test_a1_what_a_killed_process_said_it_kept_is_there_whole(tmp_path):
    kept = 0
    for after in (1, 5, 20):
        with subprocess.Popen(
            [sys.executable, "-c", KEEPING, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            told = [int(process.stdout.readline()) for _ in range(after)]
            process.kill()
            rest = [int(each) for each in process.stdout.read().split("\n")[:-1] if each]
        kept += max([*told, *rest])
        found = rows_in(tmp_path)
        assert kept <= len(found) <= kept + 1
        assert all(len(part) == len(list(lines(50))) for part in found)
        kept = len(found)


async def test_what_a_dead_process_left_unfinished_goes_once_nobody_can_be_writing_it(tmp_path):
    day = tmp_path / "2026-11-26"
    day.mkdir()
    old, young = day / ".old.jsonl.gz.part", day / ".young.jsonl.gz.part"
    for path in (old, young):
        path.touch()
    os.utime(old, (1, 1))
    await FolderArchive(tmp_path, SystemClock()).keep(pages(list(lines(1))))
    assert not old.exists()
    assert young.exists()


async def test_an_archive_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="check that the folder exists"):
        await FolderArchive(tmp_path / "file", SystemClock()).keep(pages(list(lines(1))))
