"""The contract of `WordIndex`, as tests. An adapter inherits them and supplies the `index` fixture.

    class TestMyIndex(WordIndexContract):
        @pytest.fixture
        def index(self) -> MyIndex:
            return MyIndex()

Each test names the guarantee that it checks. There is no way to switch one off: what an adapter cannot do belongs in
another port.
"""

from collections.abc import Sequence

import pytest

from penstock.core.knowledge.filters import Equal, Filter
from penstock.core.knowledge.passages import Delete, Hit, IndexWrite, Passage, Space, Upsert
from penstock.ports.words import WordIndex
from penstock.testing.filter_cases import FILTER_CASES, METADATA

SPACE = Space("handbook")
# What a user may type by accident or on purpose: none of it may be refused (W6).
UNUSUAL_QUERIES = (
    "",
    " \t\n",
    "?!… --",
    "the of and",
    '"unclosed AND (turbine',
    "turbine* OR NEAR/3 ^2 -x :y",
    "'; DROP TABLE passage; --",
    "\x00\ud800",
    "🙂 👩‍👩‍👧",
    "الماء والتوربين",
    "x" * 20_000,
    "turbine " * 5_000,
)


class WordIndexContract:
    async def test_w1_repeating_writes_changes_nothing(self, index: WordIndex) -> None:
        writes = [put("a", "the turbine turns"), put("b", "the valve closes"), Delete(SPACE, "b")]
        await index.apply(writes)
        before = await hits(index, "turbine")
        await index.apply(writes)
        assert [hit.id for hit in before] == ["a"]
        assert same(await hits(index, "turbine"), before)
        assert await found(index, "valve") == []

    async def test_w1_the_last_write_of_an_id_wins(self, index: WordIndex) -> None:
        await index.apply([put("a", "turbine"), put("b", "valve"), put("a", "valve"), put("b", "turbine")])
        assert await found(index, "turbine") == ["b"]
        await index.apply([Delete(SPACE, "a"), put("a", "turbine")])
        assert await found(index, "turbine") == ["a", "b"]

    async def test_w2_what_was_written_is_found_and_what_was_deleted_is_not(self, index: WordIndex) -> None:
        assert await found(index, "turbine") == []
        await index.apply([put("a", "a turbine"), put("b", "another turbine")])
        assert await found(index, "turbine") == ["a", "b"]
        await index.apply([Delete(SPACE, "a"), Delete(SPACE, "never there")])
        assert await found(index, "turbine") == ["b"]
        await index.apply([put("b", "a valve")])
        assert await found(index, "turbine") == []
        assert await found(index, "valve") == ["b"]

    async def test_w2_deleted_passages_leave_no_trace_in_the_scores(self, index: WordIndex) -> None:
        kept = [put("a", "turbine and valve"), put("b", "valve of the long penstock"), put("c", "gate")]
        gone = [put(f"gone-{number}", "turbine " * (number + 1)) for number in range(20)]
        never_there = Space("compared")
        await index.apply([*gone, *kept])
        await index.apply([Delete(SPACE, write.passage.id) for write in gone if isinstance(write, Upsert)])
        await index.apply([Upsert(never_there, write.passage, None) for write in kept if isinstance(write, Upsert)])
        for query in ("turbine", "valve", "turbine valve penstock"):
            assert same(await hits(index, query), await hits(index, query, space=never_there))

    async def test_w3_no_search_crosses_tenant_collection_or_generation(self, index: WordIndex) -> None:
        spaces = [
            SPACE,
            Space("handbook", "other"),
            Space("minutes"),
            *(Space("handbook", generation=n) for n in (2, 3)),
        ]
        for number, space in enumerate(spaces):
            await index.apply([put("same", "turbine", space), put(f"own-{number}", "turbine", space)])
        await index.apply([Delete(spaces[1], "same")])
        for number, space in enumerate(spaces):
            expected = [f"own-{number}"] if number == 1 else [f"own-{number}", "same"]
            assert await found(index, "turbine", space=space) == expected

    async def test_w3_the_statistics_of_one_tenant_do_not_move_the_scores_of_another(self, index: WordIndex) -> None:
        await index.apply([put("a", "turbine valve"), put("b", "valve gate"), put("c", "gate")])
        before = await hits(index, "turbine valve")
        for other in (Space("handbook", "other"), Space("minutes"), Space("handbook", generation=2)):
            await index.apply([put(f"{number}", "turbine " * number, other) for number in range(1, 30)])
        assert same(await hits(index, "turbine valve"), before)

    async def test_w4_every_filter_of_the_table_lets_through_what_it_should(self, index: WordIndex) -> None:
        await index.apply([put(name, "turbine", metadata=metadata) for name, metadata in METADATA.items()])
        for case, expected in FILTER_CASES:
            assert "".join(await found(index, "turbine", limit=10, filter=case)) == expected, case

    async def test_w4_matches_are_not_crowded_out_by_better_passages(self, index: WordIndex) -> None:
        crowd = [put(f"crowd-{number}", "turbine") for number in range(200)]
        wanted = [put(f"wanted-{n}", "a valve before the turbine", metadata={"kind": "wanted"}) for n in range(3)]
        await index.apply([*crowd, *wanted])
        assert await found(index, "turbine", limit=2, filter=Equal("kind", "wanted")) == ["wanted-0", "wanted-1"]
        assert await found(index, "turbine", limit=2) == ["crowd-0", "crowd-1"]

    async def test_w4_passages_without_a_word_of_the_query_do_not_fill_the_limit(self, index: WordIndex) -> None:
        await index.apply([put("a", "turbine"), put("b", "valve"), put("c", "gate")])
        assert await found(index, "turbine", limit=100) == ["a"]

    async def test_w5_rarer_words_more_of_them_and_shorter_texts_rank_higher(self, index: WordIndex) -> None:
        await index.apply([put(f"other-{number}", "water flows through the valve") for number in range(10)])
        await index.apply([put("rare", "water turbine"), put("common", "water valve")])
        assert (await found(index, "turbine valve"))[0] == "rare"
        await index.apply([put("twice", "gate gate bolt pipe"), put("once", "gate nut bolt pipe")])
        assert await found(index, "gate") == ["twice", "once"]
        await index.apply([put("short", "surge"), put("long", "surge tank beside the tunnel under the old road")])
        assert await found(index, "surge") == ["short", "long"]

    async def test_w5_equal_ones_come_by_id_and_the_first_of_them_stay(self, index: WordIndex) -> None:
        await index.apply([put(f"{number * 37 % 300:03}", "turbine hall") for number in range(300)])
        ranked = await hits(index, "turbine", limit=7)
        assert [hit.id for hit in ranked] == [f"{number:03}" for number in range(7)]
        assert all(hit.score > 0 for hit in ranked)

    async def test_w5_a_word_that_every_passage_has_still_scores_above_0(self, index: WordIndex) -> None:
        await index.apply([put("a", "turbine"), put("b", "turbine turbine")])
        scores = [hit.score for hit in await hits(index, "turbine")]
        assert len(scores) == 2
        assert min(scores) > 0

    async def test_w5_many_queries_are_answered_as_each_alone(self, index: WordIndex) -> None:
        words = ["turbine", "valve", "gate", "surge", "tunnel"]
        await index.apply([put(f"{n:02}", " ".join(words[: 1 + n % 5] + [words[n % 3]] * (n % 4))) for n in range(40)])
        queries = [*words, "turbine gate", "nothing known", ""]
        together = await index.matching(SPACE, queries, limit=5)
        assert len(together) == len(queries)
        for query, ranked in zip(queries, together, strict=True):
            assert same(await hits(index, query), ranked)

    @pytest.mark.parametrize("query", UNUSUAL_QUERIES, ids=lambda query: ascii(query)[:20])
    async def test_w6_no_query_is_refused(self, index: WordIndex, query: str) -> None:
        await index.apply([put("a", "a turbine"), put("b", "…"), put("c", "")])
        expected = ["a"] if "turbine" in query else []
        assert await found(index, query) == expected

    async def test_w6_words_of_any_script_are_found_whatever_their_case_and_form(self, index: WordIndex) -> None:
        texts = {"de": "Die Größe der ÖFFNUNG", "ru": "Вода и турбина", "fr": "cafe\u0301 d'été", "el": "ΘΆΛΑΣΣΑ"}
        await index.apply([put(name, text) for name, text in texts.items()])
        for query, expected in {
            "öffnung": "de",
            "GRÖSSE": "de",
            "ТУРБИНА": "ru",
            "CAFÉ": "fr",
            "θάλασσα": "el",
        }.items():
            assert await found(index, query) == [expected], query

    async def test_w7_relevances_are_the_scores_of_the_hits(self, index: WordIndex) -> None:
        await index.apply(
            [put("a", "turbine valve"), put("b", "turbine turbine"), put("c", "gate"), put("gone", "gate")]
        )
        await index.apply([Delete(SPACE, "gone")])
        queries = ["turbine", "valve gate", "nothing known"]
        ids = [["c", "a", "never there"], ["a", "b", "c", "gone"], ["a"]]
        scored = await index.relevances(SPACE, queries, ids)
        assert [set(each) for each in scored] == [{"a", "c"}, {"a", "b", "c"}, {"a"}]
        for query, each in zip(queries, scored, strict=True):
            expected = {hit.id: hit.score for hit in await hits(index, query)}
            assert each == pytest.approx({key: expected.get(key, 0.0) for key in each}, rel=1e-6)

    async def test_an_empty_space_answers_with_nothing(self, index: WordIndex) -> None:
        assert [list(each) for each in await index.matching(SPACE, ["turbine", ""], limit=5)] == [[], []]
        assert [dict(each) for each in await index.relevances(SPACE, ["turbine"], [["a"]])] == [{}]
        await index.apply([put("a", "turbine")])
        await index.apply([Delete(SPACE, "a")])
        assert await found(index, "turbine") == []


def put(id: str, text: str, space: Space = SPACE, *, metadata: dict[str, str] | None = None) -> IndexWrite:
    """Write a passage without vector."""
    return Upsert(space, Passage(id, text, metadata or {}), None)


async def hits(
    index: WordIndex, query: str, *, space: Space = SPACE, limit: int = 5, filter: Filter | None = None
) -> Sequence[Hit]:
    """The hits of one query."""
    return (await index.matching(space, [query], limit=limit, filter=filter))[0]


async def found(
    index: WordIndex, query: str, *, space: Space = SPACE, limit: int = 5, filter: Filter | None = None
) -> list[str]:
    """The ids of the hits of one query."""
    return [hit.id for hit in await hits(index, query, space=space, limit=limit, filter=filter)]


def same(one: Sequence[Hit], other: Sequence[Hit]) -> bool:
    """Whether two lists have the same ids in the same order, with equal scores (to 1e-6)."""
    scores = [hit.score for hit in other]
    return [hit.id for hit in one] == [hit.id for hit in other] and [hit.score for hit in one] == pytest.approx(
        scores, rel=1e-6
    )
