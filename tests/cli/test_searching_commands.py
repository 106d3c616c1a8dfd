"""`penstock knowledge search`: each option of a search has its flag."""

import json
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app
from penstock.cli.knowing import on_collection
from penstock.cli.knowledge_options import place_of
from penstock.cli.searching import conditions
from penstock.errors import Invalid


def invoked(*arguments, code=0):
    done = CliRunner().invoke(app, ["knowledge", *arguments])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    texts = {
        "cat": "Cats purr when content.",
        "cat2": "Cats purr when content!",
        "sea": "The sea is deep; cats stay out.",
    }
    with chdir(folder):
        for name, text in texts.items():
            (folder / f"{name}.md").write_text(f"{text}\n")
        invoked("put", *(f"{name}.md" for name in texts))
    return folder


def results(folder, *arguments):
    with chdir(folder):
        return json.loads(invoked("search", "cats purr", "--json", *arguments).stdout)


def ids(found):
    return [each["id"].partition(".")[0] for each in found["results"]]


def test_pages_go_on_by_offset_and_by_cursor(library):
    whole = ids(results(library, "--mode", "words"))
    assert ids(results(library, "--mode", "words", "--limit", "1", "--offset", "1")) == whole[1:2]
    first = results(library, "--mode", "words", "--limit", "1")
    assert ids(results(library, "--mode", "words", "--limit", "1", "--page-after", first["next"])) == whole[1:2]


def test_options_reach_the_search(library):
    assert "sea" in ids(results(library, "--limit", "2", "--mmr", "0.95"))
    best = results(library, "--mode", "words")["results"][0]["score"]
    assert "sea" not in ids(results(library, "--mode", "words", "--threshold", str(best - 1e-6)))
    assert ids(results(library, "--filter", "source=sea.md")) == ["sea"]
    assert "sea" not in ids(results(library, "--filter", "source!=sea.md", "--filter", '{"source": {"exists": true}}'))
    assert ids(results(library, "--as-of", "1")) == ["cat"]
    assert len(ids(results(library, "--generation", "1", "--fusion", "ranks"))) == 3
    marked = results(library, "--highlight", "--mode", "words", "--limit", "1")["results"][0]
    start, end = marked["highlights"]["spans"][0]
    assert marked["payload"][start:end] == "Cats"
    with chdir(library):
        assert "[Cats] [purr]" in invoked("search", "cats purr", "--highlight", "--limit", "1").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--filter", "lang"), "--filter"),
        (("--filter", "{"), "--filter"),
        (("--offset", "900", "--limit", "200"), "--offset"),
        (("--mode", "odd", "--fusion", "odd"), "fusion"),
        (("--page-after", "x"), "page_after"),
        (("--generation", "7"), "generation"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(library, arguments, said):
    with chdir(library):
        assert said in invoked("search", "cats", *arguments, code=2).stderr


def test_conditions_are_read_as_people_write_them():
    assert conditions([]) is None
    assert conditions(["lang=en"]) == {"lang": "en"}
    assert conditions(["year >= 2020", "lang!=de"]) == {"and": [{"year": {"gte": "2020"}}, {"not": {"lang": "de"}}]}
    assert conditions(["a=b=c"]) == {"a": "b=c"}
    with pytest.raises(Invalid):
        conditions([""])


def test_use_lifts_and_a_reranker_judges_anew(library):
    async def use(books):
        for _ in range(5):
            await books.used("cats purr", ["sea.md"])
        await books._engine.caught_up("knowledge-uses")

    assert ids(results(library, "--limit", "3"))[-1] == "sea"
    with chdir(library):
        on_collection(place_of(None, None, (None, None), None), use)
    plainly, lifted = (
        {each["id"]: each["score"] for each in results(library, "--boost", boost)["results"]} for boost in ("0", "1")
    )
    assert lifted["sea.md"] > plainly["sea.md"]
    assert lifted["cat.md"] == plainly["cat.md"]
    judged = results(library, "--reranker", "words", "--rerank", "3")["results"]
    plain = results(library, "--reranker", "words", "--rerank", "0")["results"]
    assert judged[-1]["id"] == "sea.md"
    assert [each["score"] for each in judged] != [each["score"] for each in plain]
    with chdir(library):
        for flag, value in (("--boost", "2"), ("--rerank", "201"), ("--rerank", "-1")):
            assert flag in invoked("search", "cats", flag, value, code=2).stderr
        assert "reranker" in invoked("search", "cats", "--reranker", "odd", code=2).stderr
