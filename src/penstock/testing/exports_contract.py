"""The contract of `LineWriter` and `LineReader`, as tests. Whoever has a form of file inherits them, and opens both."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from penstock.core.exports.copying import blob_line
from penstock.core.exports.lines import (
    FORMAT,
    End,
    EventForm,
    EventLine,
    Header,
    Line,
    Told,
    ValueLine,
    decode_line,
    encode_line,
    kind_of,
    told_json,
    told_packed,
)
from penstock.errors import Invalid
from penstock.ports.exports import LineReader, LineWriter

OpenedWriter = Callable[[Path], AbstractContextManager[LineWriter]]
HEADER = Header(FORMAT, "app", 1, "0")
SIGKILLED = -9
EXIT_S = 60
# A process that writes lines without end, says after how many, and dies in whichever way it is told.
ENDLESS = """
import importlib, pathlib, resource, signal, sys
from penstock.errors import Unavailable
from penstock.testing.exports_contract import HEADER, event
module, name, place, limit = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    with getattr(importlib.import_module(module), name)(pathlib.Path(place)) as writer:
        writer.write(HEADER)
        for number in range(1_000_000):
            writer.write(event(number, size=2000))
            if number % 1000 == 0:
                print(number, flush=True)
except Unavailable as error:
    print("full", error, flush=True)
"""


def event(number: int, *, size: int = 10) -> EventLine:
    data = told_json(b'{"x": "%s"}' % (b"%d " % number * (size // 4)))
    return EventLine("t", 0, number, EventForm(f"e{number}", "/s", "T.v1", "k", number, data))


def value(number: int) -> ValueLine:
    return ValueLine("t", "a", "k", f"v{number}", told_packed(b"\x93\x01\xa2ab\xc0"))


def lines(count: int) -> Iterator[Line]:
    """Return lines of several kinds, mixed."""
    for number in range(count):
        yield event(number)
        yield value(number)
        if number % 10 == 0:
            yield blob_line(b"%d" % number * 1000)
            yield ValueLine("t", "a", "k", f"raw{number}", Told(base64="AAEC"))


class LineFileContract:
    @pytest.fixture
    def open_writer(self) -> OpenedWriter:
        raise NotImplementedError("supply what opens a writer at a path")

    @pytest.fixture
    def open_reader(self) -> Callable[[Path], LineReader]:
        raise NotImplementedError("supply what opens a reader at a path")

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path / "export"

    def test_z3_what_is_read_back_is_the_same(
        self, open_writer: OpenedWriter, open_reader: Callable[[Path], LineReader], place: Path
    ) -> None:
        wanted = list(lines(3000))
        written(open_writer, place, wanted)
        found = [decode_line(body) for _, body in open_reader(place).lines()]
        assert found[0] == HEADER
        assert isinstance(found[-1], End)
        for kind in {kind_of(line) for line in wanted}:
            assert [encode_line(line) for line in found if kind_of(line) == kind] == [
                encode_line(line) for line in wanted if kind_of(line) == kind
            ]
            assert found[-1].counts[kind] == sum(kind_of(line) == kind for line in wanted)
        again = [body for _, body in open_reader(place).lines()]
        assert len(again) == len(wanted) + 2

    def test_z3_each_line_has_a_place_of_its_own(
        self, open_writer: OpenedWriter, open_reader: Callable[[Path], LineReader], place: Path
    ) -> None:
        written(open_writer, place, lines(50))
        places = [where for where, _ in open_reader(place).lines()][1:-1]
        assert len(set(places)) == len(places)

    def test_z1_an_error_leaves_nothing(self, open_writer: OpenedWriter, place: Path) -> None:
        def broken() -> Iterator[Line]:
            yield from lines(10)
            raise KeyError

        with pytest.raises(KeyError):
            written(open_writer, place, broken())
        assert list(place.parent.iterdir()) == []

    def test_z1_a_killed_process_leaves_nothing_at_the_place_and_the_next_one_writes_it(
        self, open_writer: OpenedWriter, open_reader: Callable[[Path], LineReader], place: Path
    ) -> None:
        with self._process(open_writer, place, limit=0) as process:
            assert process.stdout is not None
            assert [process.stdout.readline().strip() for _ in range(3)] == ["0", "1000", "2000"]
            process.kill()
            assert process.wait(EXIT_S) == SIGKILLED
        assert not place.exists()
        written(open_writer, place, lines(1))
        assert [each.name for each in place.parent.iterdir()] == [place.name]
        assert len(list(open_reader(place).lines())) == 6

    def test_z1_a_full_disk_is_unavailable_and_leaves_nothing(self, open_writer: OpenedWriter, place: Path) -> None:
        with self._process(open_writer, place, limit=1_000_000) as process:
            assert process.stdout is not None
            told = process.stdout.read()
            assert process.wait(EXIT_S) == 0
        assert "full the disk did not answer" in told
        assert list(place.parent.iterdir()) == []

    def test_z2_what_is_not_whole_or_nothing_of_ours_is_not_valid(
        self, open_reader: Callable[[Path], LineReader], place: Path
    ) -> None:
        with pytest.raises(Invalid):
            list(open_reader(place).lines())

    def test_z4_memory_does_not_grow_with_the_lines(self, open_writer: OpenedWriter, place: Path) -> None:
        written(open_writer, place.with_name("first"), lines(10))  # what is imported late
        peaks: list[int] = []
        for count in (2000, 20_000):
            tracemalloc.start()
            written(open_writer, place.with_name(str(count)), (event(number, size=1000) for number in range(count)))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 2 * peaks[0] + 1_000_000

    def _process(self, open_writer: OpenedWriter, place: Path, *, limit: int) -> "subprocess.Popen[str]":
        opened = (open_writer.__module__, open_writer.__name__)  # type: ignore[attr-defined]
        command = [sys.executable, "-c", ENDLESS, *opened, str(place), str(limit)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own


def written(open_writer: OpenedWriter, place: Path, some: "Iterator[Line] | list[Line]") -> None:
    with open_writer(place) as writer:
        writer.write(HEADER)
        for line in some:
            writer.write(line)
