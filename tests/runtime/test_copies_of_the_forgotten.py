"""Exports and imports around a forgetting: what was made later has nothing of it, what was made earlier brings nothing back."""

import sys
from pathlib import Path

import pytest

from penstock import Retention
from penstock.adapters.exports.jsonl import JsonlReader, open_jsonl_writer
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.agents.retention import Keep
from penstock.core.exports.selection import Selection
from penstock.errors import Invalid
from penstock.runtime.exporting import Origin, export
from penstock.runtime.importing import Import
from penstock.testing.virtual_time import VirtualClock

sys.path.insert(0, str(Path(__file__).parents[1] / "knowledge"))
from forgetting_life import ANNA, BEN, OTHER, SECRET, Said, clinic, talked


async def exported(path, file, at_ms, chosen=None):
    async with open_sqlite_store(path) as store:
        with open_jsonl_writer(file) as writer:
            await export(store, writer, Origin("clinic", "1", at_ms), chosen or Selection())


async def imported(path, file):
    async with open_sqlite_store(path) as store:
        copy = Import(JsonlReader(file), store, VirtualClock())
        return await copy.write(await copy.check())


async def test_an_export_made_before_brings_nothing_back_and_one_made_later_has_nothing(tmp_path):
    path, early, late = tmp_path / "clinic.db", tmp_path / "early.jsonl", tmp_path / "late.jsonl"
    await talked(path)
    await exported(path, early, at_ms=0)
    events = [line for _, line in JsonlReader(early).lines() if line.startswith(b'{"kind":"event","topic":"said"')]
    assert len(events) == 2
    assert not any(SECRET.encode() in each or ANNA.encode() in each for each in events)  # the log of it is sealed
    async with clinic().running(store=f"sqlite:{path}") as live:
        await live.forget(ANNA)
    await exported(path, late, at_ms=2**50)
    assert ANNA.encode() not in late.read_bytes()
    assert await imported(path, early) == 0
    assert await imported(path, late) == 0
    async with clinic().running(store=f"sqlite:{path}") as live:
        assert (await live.traces(ANNA, texts=[SECRET])).is_nothing
        assert [each.text for each in await live.knowledge("files").search("knee", mode="words")] == []
        assert await live.engine.parts.store.values("default", "listen", BEN) != {}


async def test_an_export_with_its_keys_is_a_whole_store_elsewhere(tmp_path):
    path, file, other = tmp_path / "clinic.db", tmp_path / "all.jsonl", tmp_path / "other.db"
    await talked(path)
    await exported(path, file, at_ms=0)
    await imported(other, file)
    async with clinic().running(store=f"sqlite:{other}") as live:
        await live.knowledge("files").indexed()
        assert sorted(each.text for each in await live.knowledge("files").search("the", limit=5)) == [OTHER, SECRET]
        receipt = await live.forget(ANNA)
        assert receipt.keys == 1
        assert receipt.checked.found == ()
    fresh = tmp_path / "fresh.db"
    async with clinic().running(store=f"sqlite:{fresh}"):
        pass  # it has a secret of its own
    with pytest.raises(Invalid, match="something else in the place"):
        await imported(fresh, file)


async def test_archives_have_nothing_of_it_either(tmp_path):
    path, archive = tmp_path / "clinic.db", tmp_path / "archive"
    kept = Retention(events=Keep(days=0), journals_days=0, runs_days=0, archive=str(archive))
    await talked(path)
    app = clinic()
    app._retention = kept
    async with app.running(store=f"sqlite:{path}") as live:
        await live.call("listen", Said(who=BEN, text=OTHER))
        await live.engine.parts.clock.sleep(0.02)
        await live.engine.janitor.tidy()
        files = list(archive.glob("*/*.gz"))
        assert files
        lines = [line for each in files for _, line in JsonlReader(each).lines()]
        assert any(SECRET.encode() in each for each in lines)  # results of runs
        receipt = await live.forget(ANNA)
        assert receipt.erased["lines of the archive"] > 0
        lines = [line for each in files for _, line in JsonlReader(each).lines()]
        assert not any(SECRET.encode() in each or ANNA.encode() in each for each in lines)
        assert any(OTHER.encode() in each for each in lines)
