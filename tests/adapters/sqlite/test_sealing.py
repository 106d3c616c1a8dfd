"""Spaces that are mostly in parts: they answer as those do that are all in memory, and survive whatever happens to their files."""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from penstock.adapters.sqlite import part_rows, sealing
from penstock.adapters.sqlite.part_files import PartFiles
from penstock.adapters.sqlite.passages import open_sqlite_passages
from penstock.adapters.sqlite.schema import connect
from penstock.core.knowledge.filters import All, Equal, Not, Range
from penstock.core.knowledge.layers import Sizes
from penstock.core.knowledge.passages import Delete, Passage, Space, Upsert
from penstock.testing.vectors_contract import SPACE, VectorIndexContract
from penstock.testing.words_contract import WordIndexContract

TINY = Sizes(whole=2, top=2)
SMALL = Sizes(whole=400, top=150)
WORDS = ["turbine", "valve", "gate", "surge", "tunnel", "weir", "sluice", "penstock"]


class TestVectorsInParts(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path):
        async with open_sqlite_passages(tmp_path / "passages.db", sizes=TINY) as index:
            yield index


class TestWordsInParts(WordIndexContract):
    @pytest.fixture
    async def index(self, tmp_path):
        async with open_sqlite_passages(tmp_path / "passages.db", sizes=TINY) as index:
            yield index


def upserts(numbers, *, seed=0):
    found = []
    for number in numbers:
        random = np.random.default_rng([seed, number])
        metadata = {"kind": f"k{number % 5}", "n": str(number), "day": f"2024-03-{1 + number % 28:02}T08:00"}
        text = " ".join(random.choice(WORDS, 1 + number % 9))
        vector = random.standard_normal(16).astype("<f4").tobytes()
        found.append(Upsert(SPACE, Passage(f"p{number:05}", text, metadata), vector))
    return found


async def changed(index):
    """A thousand passages, written in pieces, some again and some taken away."""
    for start in range(0, 1_000, 50):
        await index.apply(upserts(range(start, start + 50)))
        await index.apply(upserts(range(start // 2, start // 2 + 5), seed=1))
        await index.apply([Delete(SPACE, f"p{number:05}") for number in range(start // 3, start // 3 + 3)])
        await index.nearest(SPACE, np.ones((1, 16), np.float32), limit=1)


async def answers(index):
    queries = np.random.default_rng(9).standard_normal((5, 16)).astype(np.float32)
    some = [f"p{number:05}" for number in range(0, 1_000, 37)]
    found = []
    cases = (
        None,
        Equal("kind", "k2"),
        Range("n", gte="500", lt="510"),
        All((Equal("kind", "k1"), Range("day", gte="2024-03-20"))),
        Not(Equal("kind", "k1")),
    )
    for case in cases:
        found.append(await index.nearest(SPACE, queries, limit=20, filter=case))
        found.append(await index.matching(SPACE, ["turbine", "valve gate surge", "weir weir"], limit=20, filter=case))
    found.append(await index.cosines(SPACE, queries, [some] * 5))
    found.append(await index.relevances(SPACE, ["turbine gate"], [some]))
    found.append({key for key in await index.digests(SPACE) if not key.startswith("none")})
    return found


@pytest.fixture
async def expected(tmp_path):
    async with open_sqlite_passages(tmp_path / "whole.db") as whole:
        await changed(whole)
        return await answers(whole)


def parts(path):
    return sorted(each.name for each in path.with_name(f"{path.name}-parts").iterdir())


async def test_parts_change_no_answer_also_after_reopening(tmp_path, expected):
    path = tmp_path / "parts.db"
    async with open_sqlite_passages(path, sizes=SMALL) as index:
        await changed(index)
        assert await answers(index) == expected
    assert parts(path)
    async with open_sqlite_passages(path, sizes=SMALL) as index:
        assert await answers(index) == expected


async def test_once_all_is_settled_nothing_is_being_made_or_left_over(tmp_path, expected):
    path = tmp_path / "parts.db"
    async with open_sqlite_passages(path, sizes=SMALL) as index:
        await changed(index)
        await index.settled()
        settled = parts(path)
        assert not [each for each in settled if each.endswith(".new")]
        assert await answers(index) == expected
        await index.settled()
        assert parts(path) == settled


async def test_parts_that_are_lost_or_damaged_are_made_again(tmp_path, expected):
    path = tmp_path / "parts.db"
    folder = tmp_path / "parts.db-parts"
    async with open_sqlite_passages(path, sizes=SMALL) as index:
        await changed(index)
    last = parts(path)[-1]

    def without_an_array():
        (next(folder.iterdir()) / "term_rows").unlink()

    damages = (
        partial(shutil.rmtree, folder / last),
        without_an_array,
        lambda: (next(folder.iterdir()) / "near").write_bytes(b"short"),
        lambda: (next(folder.iterdir()) / "arrays.json").write_text("{"),
    )
    for damage in damages:
        damage()
        async with open_sqlite_passages(path, sizes=SMALL) as index:
            assert await answers(index) == expected
        assert parts(path)


class Died(BaseException):
    pass


async def test_a_process_may_die_at_any_point_of_a_seal_and_of_a_merge(tmp_path, expected):
    """The files as they are at each point, with the rows as they are then: a copy of both is opened."""
    path = tmp_path / "parts.db"
    copies, merges, turn = [], [], threading.Lock()

    def copy():
        with turn:  # seals and merges go on beside each other
            copies.append(tmp_path / f"copy-{len(copies)}.db")
            source, target = sqlite3.connect(path), sqlite3.connect(copies[-1])
            source.backup(target)
            source.close()
            target.close()
            for part in Path(f"{path}-parts").iterdir():
                with suppress(OSError, shutil.Error):  # it has just been renamed or removed
                    shutil.copytree(part, Path(f"{copies[-1]}-parts", part.name))

    async with open_sqlite_passages(path, sizes=SMALL) as index:
        await changed(index)
        files = index._sealer._files
        write, remove = files.write, files.remove

        class Copying(PartFiles):
            def write(self, name, chunks, pause):
                steps = count()
                merges.append("merging" in threading.current_thread().name)

                def pausing():
                    if next(steps) in (0, 20):
                        copy()

                write(name, chunks, pausing)
                copy()

            def remove(self, names):
                copy()
                remove(names)
                copy()

        index._sealer._files = Copying(files.folder)
        for number in range(5):  # without changing anything that is asked for
            ids = [f"none-{number}-{each}" for each in range(SMALL.top + 20)]
            await index.apply([Upsert(SPACE, Passage(each, ""), None) for each in ids])
            await index.apply([Delete(SPACE, each) for each in ids[:20]])
            while index._sealer._tasks:
                await asyncio.wait(index._sealer._tasks)
    assert set(merges) == {True, False}
    assert len(copies) >= 20
    for each in copies:
        async with open_sqlite_passages(each, sizes=SMALL) as index:
            assert await answers(index) == expected
        known = connect(each)
        assert set(parts(each)) == part_rows.names(known)
        known.close()


async def test_a_full_disk_hides_nothing_and_a_later_seal_makes_good(tmp_path, expected, caplog, monkeypatch):
    monkeypatch.setattr(sealing, "AGAIN_AFTER_S", 0.0)
    path = tmp_path / "parts.db"

    class Full(PartFiles):
        def write(self, name, chunks, pause):
            raise OSError(28, "No space left on device")

    async with open_sqlite_passages(path, sizes=SMALL) as index:
        whole = index._sealer._files
        index._sealer._files = Full(whole.folder)
        await changed(index)
        assert await answers(index) == expected
        assert "tried again later" in caplog.text
        index._sealer._files = whole
        await index.apply([Delete(SPACE, "never there")])
        while index._sealer._tasks:
            await asyncio.wait(index._sealer._tasks)
        assert await answers(index) == expected
    assert parts(path)


async def test_what_another_process_writes_is_not_lost(tmp_path, expected):
    path = tmp_path / "parts.db"
    async with (
        open_sqlite_passages(path, sizes=SMALL) as one,
        open_sqlite_passages(path, sizes=SMALL) as other,
    ):
        for start in range(0, 1_000, 50):
            index = one if start % 100 else other
            await index.apply(upserts(range(start, start + 50)))
            await index.apply(upserts(range(start // 2, start // 2 + 5), seed=1))
            await index.apply([Delete(SPACE, f"p{number:05}") for number in range(start // 3, start // 3 + 3)])
            await index.nearest(SPACE, np.ones((1, 16), np.float32), limit=1)
    async with open_sqlite_passages(path, sizes=SMALL) as index:
        assert await answers(index) == expected


async def test_spaces_are_sealed_apart(tmp_path):
    path = tmp_path / "parts.db"
    spaces = [SPACE, Space("handbook", tenant="other")]
    async with open_sqlite_passages(path, sizes=TINY) as index:
        for space in spaces:
            await index.nearest(space, np.ones((1, 2), np.float32), limit=1)
        for number in range(9):
            for space in spaces:
                passage = Passage(f"{space.tenant}-{number}", "turbine")
                await index.apply([Upsert(space, passage, np.array([1, number], "<f4").tobytes())])
    async with open_sqlite_passages(path, sizes=TINY) as index:
        for space in spaces:
            hits = (await index.nearest(space, np.ones((1, 2), np.float32), limit=20))[0]
            assert sorted(hit.id for hit in hits) == [f"{space.tenant}-{number}" for number in range(9)]
            assert len((await index.matching(space, ["turbine"], limit=20))[0]) == 9


async def test_a_space_that_was_emptied_leaves_no_part_and_can_be_used_again(tmp_path):
    path = tmp_path / "parts.db"
    async with open_sqlite_passages(path, sizes=TINY) as index:
        await index.nearest(SPACE, np.ones((1, 16), np.float32), limit=1)
        for number in range(6):
            await index.apply(upserts([number]))
            while index._sealer._tasks:
                await asyncio.wait(index._sealer._tasks)
        assert parts(path)
        while await index.clear(SPACE, limit=4):
            pass
        while index._sealer._tasks:
            await asyncio.wait(index._sealer._tasks)
        assert parts(path) == []
        await index.apply([Upsert(SPACE, Passage("new", "turbine"), np.ones(2, "<f4").tobytes())])
        assert [hit.id for hit in (await index.nearest(SPACE, np.ones((1, 2), np.float32), limit=9))[0]] == ["new"]
        assert [hit.id for hit in (await index.matching(SPACE, ["turbine"], limit=9))[0]] == ["new"]


async def test_what_is_on_top_is_sealed_on_closing_and_need_not_be_read_again(tmp_path):
    path = tmp_path / "parts.db"
    async with open_sqlite_passages(path, sizes=SMALL) as index:
        await index.nearest(SPACE, np.ones((1, 16), np.float32), limit=1)
        await index.apply(upserts(range(450)))
        while index._sealer._tasks:
            await asyncio.wait(index._sealer._tasks)
        await index.apply(upserts(range(450, 500)))  # less than a part holds
    known = connect(path)
    number = known.execute("SELECT number FROM passage_space").fetchone()[0]
    assert sum(len(part.dead) for part in part_rows.parts(known, number)) == 500
    assert list(part_rows.recent(known, number)) == []
    known.close()
    async with open_sqlite_passages(path, sizes=SMALL) as index:
        assert len((await index.nearest(SPACE, np.ones((1, 16), np.float32), limit=500))[0]) == 500


async def test_what_is_written_waits_for_a_seal_when_much_is_on_top(tmp_path):
    """A load that is faster than the disk: what is in memory, and must be read again after a crash, stays bounded."""
    most = 0

    class Slow(PartFiles):
        def write(self, name, chunks, pause):
            go_on.wait(5)
            super().write(name, chunks, pause)

    go_on, full = threading.Event(), asyncio.Event()
    async with open_sqlite_passages(tmp_path / "parts.db", sizes=SMALL) as index:
        index._sealer._files = Slow(index._sealer._files.folder)
        await index.nearest(SPACE, np.ones((1, 16), np.float32), limit=1)

        async def load():
            nonlocal most
            for start in range(0, 3_000, 50):
                await index.apply(upserts(range(start, start + 50)))
                most = max(most, index._spaces[SPACE].layers.on_top)
                if most > SMALL.whole + 3 * SMALL.top:
                    full.set()

        loading = asyncio.ensure_future(load())
        await full.wait()
        assert not loading.done()
        go_on.set()
        await loading
    assert most <= 2 * (4 * SMALL.top + 50)  # one segment that is being sealed, and the next
