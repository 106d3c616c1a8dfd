import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.knowledge.blocks import Block, Heading, blocks
from penstock.core.knowledge.chunking import Document, passages, pieces, size

GUIDE = """# Guide

Welcome to the guide.

## Install

Run the installer.

```sh
# not a heading
make install

make check
```

## Use

Open it.

### From a file

Give a path.
"""


def cut(text, **options):
    return passages(Document("guide.md", "Guide", text), **options)


def ids(found):
    return [passage.id for passage in found]


def letters(text):
    return "".join(character for character in text if character.isalnum())


def test_each_section_is_a_passage_named_by_its_headings():
    assert ids(cut(GUIDE)) == [
        "guide.md#guide",
        "guide.md#guide/install",
        "guide.md#guide/use",
        "guide.md#guide/use/from-a-file",
    ]


def test_headings_are_searchable_and_in_the_metadata():
    last = cut(GUIDE)[-1]
    assert last.metadata["title"] == "Guide > Use > From a file"
    assert last.text == "Guide > Use > From a file\n\nGive a path."


def test_a_source_is_always_given_and_the_documents_own_wins():
    assert cut("text")[0].metadata == {"source": "guide.md", "document": "guide.md", "title": "Guide"}
    own = passages(Document("a", "A", "text", {"source": "the manual", "language": "en"}))[0]
    assert own.metadata == {"source": "the manual", "document": "a", "language": "en", "title": "A"}


def test_a_code_block_is_kept_whole_with_its_blank_lines():
    install = cut(GUIDE)[1]
    assert "```sh\n# not a heading\nmake install\n\nmake check\n```" in install.text


def test_a_change_in_one_section_leaves_the_other_ids_alone():
    longer = GUIDE.replace("Run the installer.", "Run the installer. " * 300)
    before, after = ids(cut(GUIDE)), ids(cut(longer))
    assert set(before) <= set(after)
    assert all(name.startswith("guide.md#guide/install.") for name in set(after) - set(before))


def test_a_new_section_leaves_the_other_ids_alone():
    more = GUIDE.replace("## Use", "## Upgrade\n\nRun it again.\n\n## Use")
    assert set(ids(cut(more))) - set(ids(cut(GUIDE))) == {"guide.md#guide/upgrade"}


def test_equal_headings_get_different_ids():
    assert ids(cut("## A\n\none\n\n## A\n\ntwo\n\n## ???\n\nthree\n\n## 1\n\nfour")) == [
        "guide.md#a",
        "guide.md#a~2",
        "guide.md#1",
        "guide.md#s1",
    ]


def test_text_without_headings_is_numbered():
    assert ids(cut("word " * 400)) == ["guide.md#1", "guide.md#2", "guide.md#3"]


def test_a_cut_section_repeats_the_end_of_the_piece_before():
    text = "\n\n".join(f"Sentence number {n} stands in a paragraph of its own." for n in range(60))
    first, second, *_ = cut(text, words_max=100)
    assert first.text.split("\n\n")[-1] == second.text.split("\n\n")[1]


def test_an_empty_document_has_no_passages():
    assert cut("") == cut(" \n\n\t") == []


def test_a_heading_without_text_is_still_found():
    assert [passage.text for passage in cut("# One\n\n# Two\n\ntext")] == ["Guide > One", "Guide > Two\n\ntext"]


def test_a_giant_heading_loses_nothing():
    heading = " ".join(f"word{n}" for n in range(500))
    found = cut(f"# {heading}\n\n## Under\n\ntext")
    assert all(f"word{n}" in " ".join(passage.text for passage in found) for n in range(500))
    assert all(size(passage.text) <= 180 for passage in found)


@pytest.mark.parametrize("line", ["x" * 100_000, "word " * 20_000, "字" * 20_000, "é" * 20_000, "🙂" * 5_000])
def test_one_giant_line_is_cut_and_kept(line):
    found = cut(line, overlap_words=0)
    assert all(size(passage.text) <= 180 for passage in found)
    text = "".join(passage.text.removeprefix("Guide") for passage in found)
    assert "".join(text.split()) == "".join(line.split())


def test_a_limit_without_room_is_a_mistake_of_the_caller():
    with pytest.raises(AssertionError, match="words_max is 5"):
        cut("text", words_max=5)
    with pytest.raises(AssertionError, match="overlap_words is -1"):
        cut("text", overlap_words=-1)


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("# A #\n## B", [(1, "A"), (2, "B")]),
        ("#tag is no heading", []),
        ("    # code", []),
        ("A\n===\n\nB\n---", [(1, "A"), (2, "B")]),
        ("=====\nTitle\n=====\n\nPart\n====\n\nPoint\n-----", [(1, "Title"), (2, "Part"), (3, "Point")]),
        ("Top\n***\n\nSub\n~~~\n\nTop two\n*******", [(1, "Top"), (2, "Sub"), (1, "Top two")]),
        ("# M\n\nSub\n---", [(1, "M"), (2, "Sub")]),
        ("a paragraph\nof two lines\n------------", []),
        ("===  ===\na    b\n===  ===", []),
        ("~~~\n# in a fence\n~~~\n# out", [(1, "out")]),
        ("```\n# a fence without end", []),
    ],
)
def test_headings_are_recognised(text, headings):
    assert [(b.level, b.text) for b in blocks(text) if isinstance(b, Heading)] == headings


def test_an_indented_block_goes_on_over_blank_lines():
    assert list(blocks("Like this::\n\n    one\n\n    two\n\nthree")) == [
        Block("prose", "Like this::"),
        Block("code", "    one\n\n    two"),
        Block("prose", "three"),
    ]


def test_code_that_is_too_long_is_cut_between_lines():
    lines = [f"    statement_{n} = {n}" for n in range(100)]
    found = pieces([Block("code", "\n".join(lines))], words_max=50)
    assert "\n".join(found).split("\n") == lines


anything = st.text(max_size=400)
line = st.sampled_from(
    ["# A", "## Bé", "C\n===", "D\n---", "***\nE\n***", "```", "    code(1)", "字" * 90, "x" * 700, "", "- item"]
)
documents = st.lists(line | anything | st.text(alphabet="ab. \n", min_size=100, max_size=900), max_size=12).map(
    "\n".join
)
limits = st.integers(20, 200)


@given(documents, limits)
def test_nothing_is_lost(text, words_max):
    found = passages(Document("d", "", text), words_max=words_max, overlap_words=0)
    kept = letters("".join(passage.text for passage in found))
    # Headings may be repeated in a title, so the document is a subsequence of what is kept.
    rest = iter(kept)
    assert all(character in rest for character in letters(text))


@given(documents, limits)
def test_without_headings_nothing_is_lost_or_added(text, words_max):
    text = re.sub(r"[#=\-~^\"'*+.:_`]", "", text)
    found = passages(Document("d", "", text), words_max=words_max, overlap_words=0)
    assert "".join("".join(passage.text for passage in found).split()) == "".join(text.split())


@given(documents, limits, st.integers(0, 5))
def test_no_passage_is_longer_than_allowed(text, words_max, overlap_words):
    found = passages(Document("d", "Title of it", text), words_max=words_max, overlap_words=overlap_words)
    assert all(size(passage.text) <= words_max for passage in found)


@given(documents, limits)
def test_ids_are_unique_and_the_same_every_time(text, words_max):
    first, second = (passages(Document("d", "T", text), words_max=words_max) for _ in range(2))
    assert first == second
    assert len({passage.id for passage in first}) == len(first)
