"""SIGKILL at the write points of a real store with the real index: nothing acknowledged is lost, nothing is doubled or half there."""

import multiprocessing
import os
from collections import Counter

import pytest
from ingesting import COLLECTION, SCRIPT, app, live, passages

from penstock.runtime.write_points import WritePoint

POINTS = [
    WritePoint.AFTER_APPEND,
    WritePoint.AFTER_HANDLING,
    WritePoint.BEFORE_COMMIT,
    WritePoint.DURING_COMMIT,
    WritePoint.AFTER_COMMIT,
    WritePoint.AFTER_RELEASE,
]
_forks = multiprocessing.get_context("forkserver")  # which has imported all: a life begins in milliseconds


def lived(*given):
    process = _forks.Process(target=live, args=given)
    process.start()
    process.join(50)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


@pytest.mark.parametrize("nth", [3, 8] if os.environ.get("PENSTOCK_KILLS") else [3])  # set it for more of them
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_loses_nothing_and_leaves_nothing_half_done(tmp_path, point, nth):
    path, acknowledged = tmp_path / "library.db", tmp_path / "acknowledged"
    killed = lived(path, point, nth, acknowledged)
    assert killed in (0, -9)
    told = Counter(line.split()[0] for line in acknowledged.read_text().splitlines()) if acknowledged.exists() else {}
    async with app().running(store=f"sqlite:{path}") as running:
        books = running.knowledge(COLLECTION)
        await books.refresh()
        assert not await running.dead_letters()
        found = await books.digests()
        left = dict(found)
        for document in {document for document, _ in SCRIPT}:
            mine = {each: left.pop(each) for each in list(found) if each == document or each.startswith(f"{document}#")}
            # The last version that was acknowledged, or the next, which was under way; none of the first is fine, too.
            last = told.get(document, 0) - 1
            assert mine in [passages(document, each) for each in (last, last + 1) if 0 <= each <= 3] or (
                last < 0 and not mine
            )
        assert not left
    assert lived(path, None, 0, acknowledged) == 0  # what is repeated changes nothing, the rest is done
    async with app().running(store=f"sqlite:{path}") as running:
        assert await running.knowledge(COLLECTION).digests() == {}
        assert not await running.dead_letters()
