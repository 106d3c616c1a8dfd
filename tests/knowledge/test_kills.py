"""SIGKILL at the write points of a real store with the real index: nothing acknowledged is lost, nothing is doubled or half there."""

import os
from collections import Counter

import pytest
from fork_server import FORKS
from ingesting import COLLECTION, CUT, SCRIPT, app, built, live, passages, store_of

from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.documents import chunking_of, document_passages
from penstock.runtime.write_points import WritePoint

POINTS = [
    WritePoint.AFTER_APPEND,
    WritePoint.AFTER_HANDLING,
    WritePoint.BEFORE_COMMIT,
    WritePoint.DURING_COMMIT,
    WritePoint.AFTER_COMMIT,
    WritePoint.AFTER_RELEASE,
]


def lived(*given, doing=live):
    process = FORKS.Process(target=doing, args=given)
    process.start()
    process.join(50)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


@pytest.mark.parametrize("nth", [3, 8] if os.environ.get("PENSTOCK_KILLS") else [3])  # set it for more of them
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_loses_nothing_and_leaves_nothing_half_done(tmp_path, point, nth):
    await killed_and_whole(tmp_path / "library.db", tmp_path / "acknowledged", point, nth)


@pytest.mark.parametrize("point", [WritePoint.DURING_COMMIT, WritePoint.AFTER_COMMIT])
async def test_a_kill_loses_nothing_on_postgres(url, tmp_path, point):
    await killed_and_whole(url, tmp_path / "acknowledged", point, 3)


async def killed_and_whole(path, acknowledged, point, nth):
    """Have a process die at a write point; check what is there, and go on to the end."""
    killed = lived(path, point, nth, acknowledged)
    assert killed in (0, -9)
    told = Counter(line.split()[0] for line in acknowledged.read_text().splitlines()) if acknowledged.exists() else {}
    async with app().running(store=store_of(path)) as running:
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
    async with app().running(store=store_of(path)) as running:
        assert await running.knowledge(COLLECTION).digests() == {}
        assert not await running.dead_letters()


@pytest.mark.parametrize("nth", [2, 5] if os.environ.get("PENSTOCK_KILLS") else [2])
@pytest.mark.parametrize("point", [WritePoint.BEFORE_COMMIT, WritePoint.DURING_COMMIT, WritePoint.AFTER_COMMIT])
async def test_a_build_that_is_killed_goes_on_and_ends_as_one_that_was_not(tmp_path, point, nth):
    path = tmp_path / "library.db"
    texts = {f"d{number}": f"# part {number}\n\n" + f"word{number} " * 100 for number in range(24)}
    async with app().running(store=f"sqlite:{path}") as running:
        books = running.knowledge(COLLECTION)
        await books.put([Document(name, "", text) for name, text in texts.items()])
        await books.delete(documents=["d3"])
        await books.refresh()
    assert lived(path, point, nth, doing=built) == -9
    async with app().running(store=f"sqlite:{path}") as running:
        [first, *_] = await running.knowledge(COLLECTION).generations.list()
        assert first.generation.number == 1
    assert lived(path, None, 0, doing=built) == 0
    async with app().running(store=f"sqlite:{path}") as running:
        books = running.knowledge(COLLECTION)
        rows = await books.generations.list()
        assert [(each.generation.number, each.generation.status) for each in rows] == [(1, "standby"), (2, "serving")]
        wanted = {
            each.id: each.digest
            for name, text in texts.items()
            if name != "d3"
            for each in document_passages(Document(name, "", text), chunking_of(CUT))
        }
        assert await books.digests() == wanted
        assert (await books.generations.verify()).is_equal
