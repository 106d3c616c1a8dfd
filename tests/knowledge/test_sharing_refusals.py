"""Vectors in files of one process are refused to several workers, before anything is opened, with what to do instead."""

import pytest
from sharing import library
from typer.testing import CliRunner

from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.cli import app
from penstock.errors import Invalid

APP = """
from penstock import App

app = App("library")
app.knowledge("books")
"""


@pytest.fixture(params=["usearch:{}/graph", "milvus:{}/milvus.db"])
def vectors(request, tmp_path):
    return request.param.format(tmp_path)


async def test_a_worker_beside_others_does_not_start(tmp_path, vectors):
    async with open_sqlite_store(tmp_path / "library.db") as store:
        await store.divide(await store.claim("divide"), 2)
    with pytest.raises(Invalid) as raised:
        async with library().running(store=f"sqlite:{tmp_path / 'library.db'}", vectors=vectors, beside=True):
            pass
    [finding] = raised.value.findings
    assert (finding.path, "files of one process" in finding.problem) == ("vectors", True)
    assert finding.hint.startswith("run the app with one worker")
    assert not (tmp_path / "graph").exists()
    assert not (tmp_path / "milvus.db").exists()


async def test_over_a_broker_it_says_that_the_broker_is_why(tmp_path, vectors):
    with pytest.raises(Invalid) as raised:
        async with library().running(
            store=f"sqlite:{tmp_path / 'library.db'}", log="redis://127.0.0.1:1", vectors=vectors
        ):
            pass
    [finding] = raised.value.findings
    assert finding.hint.startswith("leave `log` away")


@pytest.mark.parametrize("command", [["run"], ["serve", "--port", "0"]])
def test_the_command_says_so_before_any_worker_starts(tmp_path, vectors, command):
    file = tmp_path / "library_app.py"
    file.write_text(APP)
    store = f"sqlite:{tmp_path / 'library.db'}"
    given = [*command, str(file), "--workers", "2", "--store", store]
    said = CliRunner().invoke(app, given, env={"COLUMNS": "200", "PENSTOCK_VECTORS": vectors})
    assert said.exit_code == 2
    assert "files of one process" in said.output
    assert "run the app with one worker" in said.output
    assert not (tmp_path / "library.db").exists()
