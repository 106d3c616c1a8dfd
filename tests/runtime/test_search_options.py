"""What a search can be asked for, through a running app."""

import numpy as np
import pytest

from penstock import App
from penstock.core.knowledge.passages import Passage
from penstock.errors import Invalid, LimitReached, Unavailable

TEXTS = {
    "cat": "Cats purr when they are content.",
    "cat2": "Cats purr when they are content!",
    "dog": "Dogs bark at cats.",
    "sea": "The sea is deep, and nobody purrs there.",
}


class Down:
    """An embedder that answers while it indexes, and then no more."""

    name, dims = "down", 2

    def __init__(self):
        self.is_up = True

    async def embed(self, texts, *, purpose="passage"):
        if not self.is_up:
            raise Unavailable("the embedder", "embed")
        return np.array([[1, 0]] * len(texts), np.float32)


async def searched(work, tmp_path, embedder=None):
    app = App("library")
    app.knowledge("shelf")
    if embedder is not None:
        app.embedder("mine", embedder)
    async with app.running(store=f"sqlite:{tmp_path}/library.db", embedder="mine" if embedder else None) as live:
        shelf = live.knowledge("shelf")
        await shelf.put([Passage(each, text) for each, text in TEXTS.items()])
        await live.knowledge("shelf", tenant="other").put([Passage("theirs", "Cats purr when they are content.")])
        await shelf.indexed()
        return await work(live, shelf)


def ids(found):
    return [each.id for each in found]


@pytest.mark.parametrize("mode", ["words", "vectors", "hybrid"])
async def test_pages_hold_each_passage_once_in_the_order_of_the_whole(mode, tmp_path):
    async def work(live, shelf):
        whole = await shelf.search("do cats purr", mode=mode, limit=10)
        pages, after = [], ""
        while page := await shelf.search("do cats purr", mode=mode, limit=1, page_after=after):
            pages += page
            after = page[-1].cursor
            # What comes or goes meanwhile is no reason to show a passage twice.
            await shelf.delete([page[0].id])
            await shelf.indexed()
        assert len(set(ids(pages))) == len(pages)
        assert ids(pages)[0] == ids(whole)[0]
        assert "theirs" not in ids(whole) + ids(pages)

    await searched(work, tmp_path)


async def test_options_change_what_is_found(tmp_path):
    async def work(live, shelf):
        assert ids(await shelf.search("cats purr content", limit=2, mode="words")) == ["cat", "cat2"]
        assert ids(await shelf.search("cats purr content", limit=2, mode="words", fusion="ranks")) == ["cat", "cat2"]
        different = ids(await shelf.search("cats purr content", limit=2, diversity=0.95))
        assert different[0] in {"cat", "cat2"}
        assert different[1] in {"dog", "sea"}
        best = (await shelf.search("cats purr", mode="words"))[0].score
        assert {each.score for each in await shelf.search("cats purr", mode="words", score_min=best)} == {best}
        shown = (await shelf.search("barking", mode="words", limit=1, highlight=True))[0]
        assert [shown.text[start:end] for start, end in shown.highlights.spans] == ["bark"]
        many = await shelf.search_many(["cats", "the sea"], limit=1, mode="words")
        assert [ids(each) for each in many] == [ids(await shelf.search("cats", limit=1, mode="words")), ["sea"]]
        ranked = await shelf.search("cats purr", fusion="ranks", limit=1)
        assert 0 < ranked[0].score < 0.04

    await searched(work, tmp_path)


async def test_a_hybrid_search_goes_on_by_words_when_the_embedder_does_not_answer_and_says_so(tmp_path):
    embedder = Down()

    async def work(live, shelf):
        embedder.is_up = False
        found = await shelf.search("deep sea", limit=1, diversity=0.5)
        assert ids(found) == ["sea"]
        assert "words only" in found[0].degraded
        with pytest.raises(Unavailable):
            await shelf.search("deep sea", mode="vectors")

    await searched(work, tmp_path, embedder)


async def test_all_that_is_wrong_is_said_at_once(tmp_path):
    async def work(live, shelf):
        with pytest.raises(Invalid) as caught:
            await shelf.search("x", mode="no", fusion="no", diversity=2.0)
        assert [each.path for each in caught.value.findings] == ["mode", "fusion", "diversity"]
        for after in ("???", "W10", "bm8"):
            with pytest.raises(Invalid, match="page_after"):
                await shelf.search("x", page_after=after)
        with pytest.raises(LimitReached):
            await shelf.search_many(["x"] * 1_001)

    await searched(work, tmp_path)
