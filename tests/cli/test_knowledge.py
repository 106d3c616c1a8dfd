"""`penstock knowledge` without an app: a folder goes in, is found, changes, and goes out again."""

import json
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app


@pytest.fixture
def penstock(tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == code, done.output
        return done

    with chdir(tmp_path):
        yield run


def test_a_folder_is_put_found_and_deleted(penstock, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "mill.md").write_text("# Mill\n\nA penstock brings water under pressure to a turbine.\n")
    (docs / "tea.md").write_text("# Tea\n\nThe kettle is in the kitchen.\n")
    assert json.loads(penstock("knowledge", "put", "docs", "--json").stdout)["put"] == 2
    found = json.loads(penstock("knowledge", "search", "water turbine", "--json").stdout)["results"]
    assert found[0]["id"].startswith("mill.md")
    assert json.loads(penstock("knowledge", "put", "docs", "--json").stdout)["put"] == 0
    penstock("knowledge", "delete", "mill.md")
    lines = penstock("knowledge", "export", "-").stdout.splitlines()
    assert [json.loads(line)["id"].partition("#")[0] for line in lines] == ["tea.md"]
    assert "missing" in penstock("knowledge", "delete", "mill.md", code=2).stderr


def test_what_is_gone_from_a_file_is_gone_from_the_collection(penstock, tmp_path):
    words = " water" * 150
    (tmp_path / "mill.md").write_text(f"# One\n\n{words}\n\n# Two\n\n{words}\n")
    assert json.loads(penstock("knowledge", "put", "mill.md", "--json").stdout)["put"] == 1
    assert len(penstock("knowledge", "export", "-").stdout.splitlines()) == 2
    (tmp_path / "mill.md").write_text("# One\n\nshort now\n")
    penstock("knowledge", "put", "mill.md")
    assert [json.loads(each)["id"] for each in penstock("knowledge", "export", "-").stdout.splitlines()] == ["mill.md"]
    created = json.loads(penstock("knowledge", "create", "other", "--json").stdout)
    assert (created["collection"], created["created"]) == ("other", True)
