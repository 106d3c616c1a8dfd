"""SIGKILL anywhere in a forgetting: the next process ends it, by itself, and nothing is left in the files."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from forgetting_life import ANNA, OTHER, SECRET, clinic, forget, talked
from fork_server import FORKS

POINTS = [("COMMIT", nth) for nth in (range(1, 24) if os.environ.get("PENSTOCK_KILLS") else (1, 3, 5, 7, 9, 11))]


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    path = tmp_path_factory.mktemp("clinic") / "clinic.db"
    asyncio.run(talked(path))
    return path


def content(folder):
    return b"".join(each.read_bytes() for each in Path(folder).glob("*"))


@pytest.mark.parametrize(("statement", "nth"), [*POINTS, ("VACUUM", 1), ("PRAGMA wal_checkpoint(TRUNCATE)", 1)])
async def test_a_forgetting_goes_on_where_it_was_killed(before, tmp_path, statement, nth):
    path = tmp_path / "clinic.db"
    shutil.copy(before, path)
    assert SECRET.encode() in content(tmp_path)
    process = FORKS.Process(target=forget, args=(path, statement, nth))
    process.start()
    process.join(50)
    assert process.exitcode in (0, -9)
    async with clinic().running(store=f"sqlite:{path}") as live:
        if process.exitcode == -9 and nth > 1:  # it was asked for durably, and nobody asks again
            await live.engine.settled(20)
        receipt = await live.forgotten(ANNA) or await live.forget(ANNA)
        assert live.is_receipt(receipt, ANNA)
        assert receipt.checked.found == ()
        assert (await live.traces(ANNA, texts=[SECRET])).is_nothing
        assert not await live.dead_letters()
        assert [each.text for each in await live.knowledge("files").search("dog")] == [OTHER]
    assert SECRET.encode() not in content(tmp_path)
    assert ANNA.encode() not in content(tmp_path)
    assert OTHER.encode() in content(tmp_path)
