"""The static table is adapted to a corpus, tried on questions kept from learning, and written only when it helps."""

import asyncio
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from penstock.adapters.embedders.static import TABLE, open_static_embedder
from penstock.adapters.embedders.table_files import read_vectors, write_table
from penstock.cli import app as commands
from penstock.core.knowledge.adapting import latent, mixed, sums, unit
from penstock.core.knowledge.judging import Judged, JudgedDocument
from penstock.core.knowledge.passages import Passage
from penstock.errors import Invalid, Missing, Refused
from penstock.runtime.adapting import adapted, corpus_of, steps_of

# Words of no language: only the corpus says which belong together.
TOPICS = [[f"{letter}{vowel}{end}" for vowel in "aeiou" for end in ("zib", "mok", "tuf")] for letter in "bdgklmnprs"]


def corpus(passages=400, seed=3):
    """Passages of one topic each, some of its words in each sentence: a sentence shares few words with the others."""
    drawn = np.random.default_rng(seed)
    found = []
    for at in range(passages):
        words = TOPICS[at % len(TOPICS)]
        sentences = [" ".join(drawn.choice(words, 6, replace=False)) + f" {at % 7}." for _ in range(4)]
        found.append(Passage(f"p{at}", " ".join(sentences)))
    return found


def test_tokens_that_come_together_get_near_vectors():
    tokens = [np.array([1, 2, 3]), np.array([1, 2]), np.array([2, 3, 1]), np.array([4, 5]), np.array([5, 4, 6])] * 4
    heard = []
    table = unit(latent(tokens, 8, heard.append))
    assert table[1] @ table[2] > 0.9
    assert abs(table[1] @ table[4]) < 0.2
    assert not table[7].any()
    assert sum(heard) == len(tokens) * 5


def test_a_share_of_nothing_is_the_table_and_its_size_stays():
    drawn = np.random.default_rng(1)
    table, learned = drawn.standard_normal((8, 4)).astype(np.float32), drawn.standard_normal((8, 3)).astype(np.float32)
    tokens = [np.array([1, 2, 3]), np.array([4, 5])]
    assert mixed(table, learned, tokens, 0.0) is table
    assert mixed(table, learned, tokens, 0.5).shape == table.shape
    assert not sums(table, [np.array([], np.int64)]).any()


def test_the_same_corpus_gives_the_same_table_and_what_it_says_adds_up():
    embedder, table, mine = open_static_embedder(), read_vectors(TABLE), corpus_of(corpus(60))
    heard = []
    made, said = adapted(mine, table, embedder.rows_of, heard.append)
    again, _ = adapted(mine, table, embedder.rows_of, lambda _: None)
    assert np.array_equal(made, again)
    assert sum(heard) == steps_of(mine)
    assert made.shape == table.shape
    assert said.interval[0] <= said.difference <= said.interval[1]
    assert said.after - said.before == pytest.approx(said.difference)
    assert said.helped == (said.share > 0 and said.interval[0] > 0)


def test_peoples_queries_are_asked_where_there_are_some():
    documents = [JudgedDocument(each.id, each.text) for each in corpus(100)]
    queries = {f"q{at}": f"{TOPICS[at % 10][0]} {TOPICS[at % 10][7]}" for at in range(30)}
    relevant = {query: {f"p{at}": 1.0 for at in range(int(query[1:]) % 10, 100, 10)} for query in queries}
    embedder = open_static_embedder()
    _, said = adapted(Judged(documents, queries, relevant), read_vectors(TABLE), embedder.rows_of, lambda _: None)
    assert said.questions == 15
    assert said.vectors_after >= said.vectors_before


def test_too_little_is_refused():
    with pytest.raises(Refused, match="3 passages"):
        adapted(corpus_of(corpus(3)), read_vectors(TABLE), open_static_embedder().rows_of, lambda _: None)


async def test_a_table_that_is_written_is_an_embedder_with_a_name_of_its_own(tmp_path):
    path, vectors = tmp_path / "mine.npz", read_vectors(TABLE)
    vectors[1000:2000] *= 2
    written, version = write_table(path, vectors, TABLE)
    assert written == path
    mine, usual = open_static_embedder(path), open_static_embedder()
    assert (mine.name, mine.dims) == (f"static-{version}", usual.dims)
    assert mine.name != usual.name
    one, other = await asyncio.gather(mine.embed(["how a pump is started"]), usual.embed(["how a pump is started"]))
    assert one[0] @ other[0] > 0.8


def test_what_is_no_table_is_said(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"no table")
    with pytest.raises(Invalid, match="no table of an embedder"):
        open_static_embedder(tmp_path / "bad.npz")
    with pytest.raises(Missing, match=r"gone\.npz"):
        open_static_embedder(tmp_path / "gone.npz")


def run(*arguments):
    return CliRunner().invoke(commands, ["knowledge", *map(str, arguments)])


def test_a_collection_is_adapted_to_and_a_generation_made_of_it(tmp_path):
    (tmp_path / "notes").mkdir()
    for at, each in enumerate(corpus(60)):
        (tmp_path / "notes" / f"n{at}.txt").write_text(each.text)
    store = f"sqlite:{tmp_path / 'k.db'}"
    assert run("put", tmp_path / "notes", "--store", store).exit_code == 0
    out = tmp_path / "mine.npz"
    done = run("adapt", "--store", store, "--out", out, "--whatever", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["passages"] == 60
    assert said["table"] == str(out)
    built = run("build", "--store", store, "--embedder", f"static:{out}", "--switch", "--json")
    assert built.exit_code == 0, built.output
    listed = json.loads(run("generations", "--store", store, "--json").stdout)["generations"]
    assert [(each["status"], each["model"]) for each in listed] == [
        ("standby", listed[0]["model"]),
        ("serving", said["embedder"]),
    ]
    assert run("search", "bazib bamok", "--store", store).exit_code == 0


def test_a_table_that_did_not_help_is_not_written(tmp_path):
    # Each sentence is found by its words alone: nothing is left to be better at.
    lines = [
        {"id": f"d{at}", "text": f"alpha{at} beta{at} gamma{at} delta{at} common. alpha{at} beta{at} here again too."}
        for at in range(80)
    ]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = run("adapt", "--documents", tmp_path / "all.jsonl", "--out", tmp_path / "mine.npz")
    assert done.exit_code == 0, done.output
    assert "did not help" in done.output
    assert not (tmp_path / "mine.npz").exists()


def test_a_file_that_is_none_says_each_line(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"id": "a"}\nnothing\n')
    done = run("adapt", "--documents", tmp_path / "bad.jsonl")
    assert done.exit_code == 2
    assert all(each in done.output for each in ("line 1", "line 2"))
