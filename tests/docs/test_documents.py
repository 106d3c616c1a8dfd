"""The documents tell the truth: links lead somewhere, the README's code is what runs."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock import App, Context, Document, Event
from penstock.testing import WritePoint

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "examples").rglob("*.md"),
    *(ROOT / "benchmarks").glob("*.md"),
]


def code_in(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    gone = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not gone


def test_the_first_example_of_the_readme_is_the_hello_app():
    first = code_in(ROOT / "README.md")[0]
    assert first == (ROOT / "examples" / "hello" / "app.py").read_text(encoding="utf-8")
    assert len(first.splitlines()) <= 15


def test_the_second_example_of_the_readme_runs_as_it_stands(tmp_path):
    (tmp_path / "support.py").write_text(code_in(ROOT / "README.md")[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "support.py"], cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "handbook, page 3" in done.stdout
    assert "30 days" in done.stdout
    assert "[" in done.stdout.splitlines()[0], "the effect is called with its idempotency key"


def test_the_readme_says_only_commands_that_exist():
    jobs = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named <= jobs


def test_the_guarantees_page_names_tests_that_exist():
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    contracts = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/penstock/testing").glob("*_contract.py")
    )
    prefixes = re.findall(r"`(test_[a-z]\d+_)\*`", page)
    assert len(prefixes) >= 10
    assert not [prefix for prefix in prefixes if f"def {prefix}" not in contracts]


def test_the_example_of_the_page_on_testing_runs_as_it_stands(tmp_path):
    conftest, tests, *_ = code_in(ROOT / "docs" / "testing.md")
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_the_page_on_testing_names_every_write_point():
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    assert not [point for point in WritePoint if f"`{point}`" not in page]


async def test_the_example_of_the_page_on_memory_runs_as_it_stands():
    page: dict[str, Any] = {"App": App, "Context": Context, "Event": Event}
    exec(code_in(ROOT / "docs" / "memory.md")[0], page)
    async with page["app"].running(store="memory:") as live:
        for text in ("Mia must not eat nuts", "short answers please"):
            await live.result(await live.start("answer", page["Said"](session="s", user="anna", text=text)))
        await live.knowledge("turns").indexed()
        found = await live.memory("turns").recall("what may Mia eat", user="anna", session="s", limit=10)
        assert {"user: Mia must not eat nuts", "likes short answers"} <= {each.text for each in found}


async def test_the_examples_of_the_page_on_knowledge_run_as_they_stand():
    app = App("library")
    app.knowledge("books")
    blocks = code_in(ROOT / "docs" / "knowledge.md")
    assert len(blocks) >= 3
    async with app.running(store="memory:") as live:
        page: dict[str, Any] = {"live": live, "Document": Document, "Event": Event, "text": "# Restart\n\nPress it."}
        shelf = [
            Document(f"d{number}", "Guide", f"How to restart the pump {number}", {"lang": "en"}) for number in range(8)
        ]
        about = Document("anna", "", "Anna restarts it at noon", {"subject": "anna@example.org"})
        await live.knowledge("books").put([*shelf, about], consistency="strong")
        for block in blocks:
            ran = eval(compile(block, "knowledge.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), page)
            if ran is not None:  # it awaits something
                await ran
        assert [each.id for each in page["page2"]]
        assert not {each.id for each in page["page2"]} & {each.id for each in page["found"]}
        assert [len(each) for each in page["several"]] == [3, 3]
        assert page["receipt"].erased["passages"] == 1
        assert "guide.md" not in await live.knowledge("books").digests()
