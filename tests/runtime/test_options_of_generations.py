"""How documents are cut is a generation's: another way is another generation, which is checked before anything is built."""

import pytest

from penstock import App, Document
from penstock.core.knowledge.documents import options_after
from penstock.errors import Invalid

TEXT = "\n\n".join(f"# Part {part}\n\n{'The wheel turns. ' * 40}" for part in range(3))


@pytest.fixture
async def books():
    app = App("library")
    app.knowledge("books")
    async with app.running(store="memory:") as live:
        books = live.knowledge("books")
        await books.put(Document("mill", "Mill", TEXT), consistency="strong")
        yield books


async def built(books, **how):
    return (await books.generations.ready(await books.generations.build(**how))).generation


async def test_documents_are_cut_anew_as_the_options_say(books):
    before = set(await books.digests())
    made = await built(books, options={"by": "sentences", "words_max": "20"}, switch=True)
    assert made.options == {"by": "sentences", "words_max": "20"}
    after = await books.digests()
    assert len(after) > len(before)
    assert all(len(each.text.split()) <= 20 for each in (await books.passages(list(after))).values())
    await books.put(Document("tide", "Tide", TEXT), consistency="strong")
    assert sum(each.startswith("tide#") for each in await books.digests()) == len(after)


async def test_a_generation_after_it_is_cut_as_it_was_unless_it_is_told_otherwise(books):
    await built(books, options={"by": "tokens", "words_max": "30"}, switch=True)
    cut = await books.digests()
    assert (await books.generations.rebuild()).generation.options == {"by": "tokens", "words_max": "30"}
    assert await books.digests() == cut
    made = await built(books, options={"words_max": "40"}, switch=True)
    assert made.options == {"by": "tokens", "words_max": "40"}
    assert len(await books.digests()) < len(cut)


async def test_options_that_are_none_are_refused_with_all_findings_and_nothing_is_built(books):
    with pytest.raises(Invalid) as raised:
        await books.generations.build(options={"by": "chapters", "words_max": "3", "colour": "red"}, switch=True)
    assert {each.path for each in raised.value.findings} == {"by", "words_max", "colour"}
    assert len(await books.generations.list()) == 1
    assert await books.search("wheel")


@pytest.mark.parametrize("words", ["", "-1", "1e3", "19", "100001", "9" * 5000, "٣٠"])
def test_a_number_of_words_that_is_none_is_said(words):
    with pytest.raises(Invalid, match="words_max"):
        options_after({}, {"words_max": words})
