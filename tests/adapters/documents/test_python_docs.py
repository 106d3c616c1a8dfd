import json
import subprocess
import sys
from collections import Counter

import pytest

from penstock.adapters.documents.library import Library
from penstock.adapters.documents.python_docs import open_python_docs
from penstock.core.knowledge.chunking import WORDS_MAX, size


@pytest.fixture(scope="module")
def documented():
    return list(open_python_docs())


@pytest.fixture(scope="module")
def found(documented):
    return {passage.id: passage for each in documented for passage in each.passages}


@pytest.fixture(scope="module")
def sources(found):
    return {passage.metadata["source"] for passage in found.values()}


def test_there_are_thousands_of_passages_each_with_its_own_id(documented, found):
    counts = Counter(passage.id for each in documented for passage in each.passages)
    assert [name for name, count in counts.items() if count > 1] == []
    assert len(found) > 4000


def test_a_passage_documents_a_name_and_begins_with_it(found):
    dedent = found["textwrap#dedent"]
    assert dedent.text.startswith("textwrap.dedent(text)\n\nRemove any common leading whitespace")
    assert dedent.metadata == {
        "source": "textwrap.dedent",
        "document": "textwrap",
        "kind": "stdlib",
        "title": "textwrap.dedent",
    }


def test_a_short_docstring_says_where_it_belongs(found):
    assert "\n\nIn textwrap: " in found["textwrap#dedent"].text
    assert "\nIn collections.Counter: " in found["collections#Counter.most_common"].text.replace("\n\n", "\n")


def test_no_passage_is_too_long(found):
    assert [name for name, passage in found.items() if size(passage.text) > WORDS_MAX] == []


@pytest.mark.parametrize(
    "source",
    [
        "textwrap",
        "json.loads",
        "math.gcd",
        "itertools.groupby",
        "time.sleep",
        "str.split",
        "open",
        "os.getpid",
        "os.makedirs",
        "os.path.join",
        "os.path.exists",
        "asyncio.gather",
        "asyncio.Queue.put",
        "random.choice",
        "threading.Lock",
        "queue.Queue.put",
        "csv.reader",
        "sqlite3.Connection.execute",
        "datetime.datetime.fromisoformat",
        "decimal.Decimal.quantize",
        "collections.deque.rotate",
        "functools.reduce",
        "concurrent.futures.ThreadPoolExecutor",
        "argparse.ArgumentParser.add_argument",
        "re.Pattern.search",
        "hashlib.sha256",
        "pathlib.Path.read_text",
    ],
)
def test_names_are_those_that_users_import(sources, source):
    assert source in sources


@pytest.mark.parametrize(
    "source", ["asyncio.queues.Queue", "posix.getpid", "posixpath.join", "_io.open", "builtins.str.split", "os._exit"]
)
def test_names_of_implementations_are_not_given(sources, source):
    assert source not in sources


def test_tests_tools_and_what_is_gone_are_left_out(documented):
    names = {each.document for each in documented}
    assert names.isdisjoint({"test", "idlelib", "lib2to3", "turtledemo", "distutils", "telnetlib", "readline"})
    assert not any(name.startswith("_") for name in names)


def test_readmes_of_installed_packages_are_found(found):
    pytest_readme = [passage for passage in found.values() if passage.metadata["source"] == "pytest README"]
    assert pytest_readme
    assert all(passage.metadata["kind"] == "readme" for passage in pytest_readme)
    assert all(passage.id.startswith("readme:pytest#") for passage in pytest_readme)
    assert not any("img.shields.io" in passage.text for passage in pytest_readme)


# A scan takes seconds: what a second one shows is shown by the two that are made in processes of their own.
SCAN = """
import json, sys
{before}
from penstock.adapters.documents.python_docs import open_python_docs
docs = open_python_docs(readmes={readmes})
total = docs.total
scanned = [[[each.id, each.text, each.metadata] for each in doc.passages] for doc in docs]
imported = sorted({{'turtle', 'tkinter', 'smtplib', 'pdb', 'unittest', 'wsgiref'}} & set(sys.modules))
print(json.dumps([total, imported, scanned]))
"""


def scanned(*, readmes, before=""):
    script = SCAN.format(readmes=readmes, before=before)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    total, imported, documents = json.loads(done.stdout)
    return total, imported, documents


def plain(found, *, readmes):
    return [
        [each.id, each.text, dict(each.metadata)]
        for each in found.values()
        if (each.metadata["kind"] == "readme") == readmes
    ]


def test_another_scan_without_readmes_gives_the_same_knows_its_total_first_and_imports_nothing(found):
    total, imported, documents = scanned(readmes=False)
    assert total == len(documents)
    assert imported == []
    assert [passage for each in documents for passage in each] == plain(found, readmes=False)


def test_a_hook_that_a_program_put_in_place_is_documented_all_the_same_and_readmes_are_always_the_same(found):
    _, _, documents = scanned(readmes=True, before="sys.excepthook = lambda *_: None")
    passages = [passage for each in documents for passage in each]
    assert any("sys.excepthook(exctype, value, traceback" in text for _, text, _ in passages)
    assert [each for each in passages if each[2]["kind"] == "readme"] == plain(found, readmes=True)


@pytest.fixture
def library(tmp_path):
    def made(**sources):
        paths = {}
        for name, source in sources.items():
            path = tmp_path / f"{name}.py"
            path.write_text(source)
            paths[name] = path
        return {each.name: [symbol.path for symbol in each.symbols] for each in Library(paths, []).documented("shop")}

    return made


def test_all_decides_what_is_public(library):
    assert library(shop='__all__ = ["a"]\ndef a():\n    "A."\ndef b():\n    "B."\n') == {"shop": ["a"]}
    assert library(shop='__all__ = []\n__all__.extend(["b"])\ndef a():\n    "A."\ndef b():\n    "B."\n') == {
        "shop": ["b"]
    }


def test_a_method_of_a_hidden_instance_is_given_once_by_its_short_name(library):
    assert library(
        shop='class Till:\n    "T."\n    def pay(self):\n        "P."\n_till = Till()\npay = _till.pay\n'
    ) == {"shop": ["pay", "Till"]}


def test_what_a_private_module_defines_belongs_to_who_imports_it(library):
    assert library(shop="from _shop import *", _shop='def a():\n    "A."\ndef _b():\n    "B."\n') == {"shop": ["a"]}


def test_modules_that_import_each_other_are_no_trap(library):
    assert library(shop="from _shop import a", _shop="from shop import a") == {"shop": []}


def test_a_file_that_is_no_python_is_passed_over(library):
    assert library(shop="def broken(:") == {}
