"""The static embedder: its contract, and what the table must be good for."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.adapters.embedders.static import TABLE, StaticEmbedder, open_static_embedder
from penstock.errors import Missing
from penstock.testing.embedder_contract import TEXTS, EmbedderContract

OPENED = open_static_embedder()


class TestStaticEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> StaticEmbedder:
        return OPENED

    @pytest.fixture
    def twin(self) -> StaticEmbedder:
        return open_static_embedder()


async def test_texts_of_like_meaning_are_nearer_than_others():
    rows = await OPENED.embed(
        ["How can I get a new password?", "Resetting a forgotten login secret", "The mountain was covered with snow"]
    )
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1


@pytest.mark.parametrize("text", ["", " \n", "\u0001", "🫠"])
async def test_only_a_text_without_a_known_token_is_zero(text):
    rows = await OPENED.embed([text, f"{text} word"])
    assert abs(rows[0]).max() == 0
    assert abs(rows[1]).max() > 0


async def test_a_query_has_the_vector_of_the_equal_passage():
    passage, query = await OPENED.embed(TEXTS), await OPENED.embed(TEXTS, purpose="query")
    assert (passage == query).all()


async def test_what_is_beyond_the_limit_of_characters_does_not_count():
    short = open_static_embedder(chars_max=20)
    cut, whole = await short.embed(["exactly twenty chars, and then some more", "exactly twenty chars"])
    assert (cut == whole).all()


def test_another_limit_of_characters_is_another_name():
    assert open_static_embedder(chars_max=20).name != OPENED.name


async def test_others_run_while_many_texts_are_embedded():
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(tick())
        await OPENED.embed(["some words of a passage " * 20] * 1_000)
        ticking.cancel()
    assert ticks >= 10


def test_another_process_gives_the_same_vectors():
    code = (
        "import asyncio; from penstock.adapters.embedders.static import open_static_embedder as o;"
        "print(asyncio.run(o().embed(['The same text in another process'])).tobytes().hex())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    rows = asyncio.run(OPENED.embed(["The same text in another process"]))
    import numpy as np

    elsewhere = np.frombuffer(bytes.fromhex(answer.stdout.strip()), np.float32)
    assert abs(elsewhere - rows[0]).max() < 1e-4


def test_importing_the_adapter_imports_neither_numpy_nor_the_tokenizer():
    code = "import sys, penstock.adapters.embedders.static; print({'numpy', 'tokenizers'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert answer.stdout.strip() == "set()"


def test_a_table_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(Missing, match=r"gone\.npz"):
        open_static_embedder(tmp_path / "gone.npz")


def test_the_shipped_table_is_at_most_8_megabytes():
    assert TABLE.stat().st_size <= 8_000_000
