"""The contract of `Archive`, as tests. Whoever has one inherits them and supplies it, and what reads its parts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from penstock.core.exports.lines import Line, encode_line
from penstock.ports.archive import Archive
from penstock.testing.exports_contract import HEADER, event, lines

Parts = Callable[[], Sequence[Sequence[Line]]]  # the rows of the parts that are there now, whoever kept them


class ArchiveContract:
    @pytest.fixture
    def archive(self) -> Archive:
        raise NotImplementedError("supply the archive under test")

    @pytest.fixture
    def parts(self) -> Parts:
        raise NotImplementedError("supply what reads all parts")

    async def test_a1_what_was_kept_is_there(self, archive: Archive, parts: Parts) -> None:
        await archive.keep(pages(list(lines(30)), size=7))
        (part,) = parts()
        assert [encode_line(line) for line in part] == [encode_line(line) for line in lines(30)]

    async def test_a2_a_part_that_was_broken_off_is_not_there(self, archive: Archive, parts: Parts) -> None:
        await archive.keep(pages(list(lines(3))))

        async def broken() -> AsyncIterator[Sequence[Line]]:
            yield [HEADER]
            yield list(lines(5))
            raise KeyError

        with pytest.raises(KeyError):
            await archive.keep(broken())
        assert len(parts()) == 1

    async def test_a2_a_part_whose_keeper_was_cancelled_is_not_there(self, archive: Archive, parts: Parts) -> None:
        reached = asyncio.Event()

        async def endless() -> AsyncIterator[Sequence[Line]]:
            yield [HEADER]
            while True:
                yield list(lines(5))
                reached.set()
                await asyncio.sleep(0)

        keeping = asyncio.ensure_future(archive.keep(endless()))
        await reached.wait()
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
        assert parts() == []

    async def test_a3_parts_that_are_kept_at_once_are_apart(self, archive: Archive, parts: Parts) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(archive.keep(pages([event(number * 10 + each) for each in range(10)], size=2)))
        found = sorted([encode_line(line) for line in part] for part in parts())
        assert found == sorted([encode_line(event(number * 10 + each)) for each in range(10)] for number in range(8))


async def pages(rows: Sequence[Line], *, size: int = 100) -> AsyncIterator[Sequence[Line]]:
    yield [HEADER]
    for first in range(0, len(rows), size):
        yield rows[first : first + size]
        await asyncio.sleep(0)
