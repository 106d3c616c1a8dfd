"""What a reviewer would otherwise repeat."""

import ast
import importlib
import inspect
import pickle
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from penstock import errors
from penstock.errors import Finding, PenstockError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "penstock"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FOLDERS_MAX = 3
NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "base", "manager", "impl", "misc"}
LOCK_FILES = ("requirements.lock", "uv.lock", "package-lock.json")
ERRORS = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, PenstockError)]
SAMPLES = {str: "x", int: 3, float: 1.5, tuple[Finding, ...]: (Finding("a", "b", "c"), Finding("d", "e"))}
MYSELF = "tests/test_house_rules.py"  # holds the patterns
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

modules = pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def is_protocol(node):
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def ports():
    """Return (module, name, guarantees, methods) of each Protocol in `ports`, such as ("log", "EventLog", {"L1"}, {...})."""
    for path in sorted((SOURCE / "ports").glob("[!_]*.py")):
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases
            ):
                guarantees = re.findall(r"^ *([A-Z]{1,2}\d+) ", ast.get_docstring(node) or "", re.MULTILINE)
                methods = {each.name for each in node.body if isinstance(each, FUNCTIONS)}
                yield path.stem, node.name, guarantees, methods


def adapters():
    """Return the dotted names of adapter modules with a class that has all methods of a port."""
    wanted = [methods for _, _, _, methods in ports() if methods]
    for path in sorted((SOURCE / "adapters").rglob("*.py")):
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                has = {each.name for each in node.body if isinstance(each, FUNCTIONS)}
                if not is_protocol(node) and any(methods <= has for methods in wanted):
                    yield ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
                    break


@modules
def test_a_file_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


@modules
def test_a_function_fits_on_a_screen(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, FUNCTIONS):
            lines = len(ast.unparse(node).splitlines())
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


@modules
def test_folders_are_shallow_and_names_say_something(path):
    parts = path.relative_to(SOURCE).parts
    assert len(parts) - 1 <= FOLDERS_MAX
    assert not NAMES_THAT_SAY_NOTHING & {Path(part).stem.strip("_").lower() for part in parts}


@pytest.mark.parametrize(
    ("port", "guarantee"),
    [(f"{module}: {name}", each) for module, name, guarantees, _ in ports() for each in guarantees],
)
def test_a_guarantee_has_a_test_that_names_it(port, guarantee):
    contracts = "\n".join(path.read_text(encoding="utf-8") for path in (SOURCE / "testing").glob("*_contract.py"))
    assert f"def test_{guarantee.lower()}_" in contracts, f"{guarantee} of {port} has no test in penstock.testing"


def test_each_port_has_guarantees_of_its_own():
    numbered = [guarantee for _, _, guarantees, _ in ports() for guarantee in guarantees]
    assert len(numbered) == len(set(numbered))
    assert len(numbered) >= 20


@pytest.mark.parametrize("module", list(adapters()))
def test_an_adapter_of_a_port_is_imported_by_a_test(module):
    assert module in modules_imported_by_tests()


def test_adapters_are_found():
    assert {
        "penstock.adapters.memory.store",
        "penstock.adapters.sqlite.store",
        "penstock.adapters.clock.system",
    } <= set(adapters())


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_survives_pickling(kind):
    parameters = [] if kind is PenstockError else inspect.signature(kind).parameters.values()
    error = kind(*(SAMPLES[each.annotation] for each in parameters))
    copy = pickle.loads(pickle.dumps(error))  # noqa: TID251 - what other processes do with an error of ours
    assert (type(copy), str(copy), vars(copy), copy.args) == (type(error), str(error), vars(error), error.args)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_says_what_its_catcher_may_conclude(kind):
    assert kind.__doc__


# what is committed


def test_no_two_modules_beside_the_package_have_one_name():
    """They are in no package: who imports the second one gets the first, in whichever process both can be met."""
    beside = [
        path.relative_to(ROOT)
        for path in committed()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("tests", "benchmarks", "scripts", "examples")
    ]
    counted = Counter(
        path.name for path in beside if not any("peers" in each for each in path.parts)
    )  # run by themselves
    assert counted.total() > len(counted) > 100
    assert [name for name, count in counted.items() if count > 1] == ["conftest.py"]


def test_a_gzip_file_of_a_test_does_not_hold_the_time():
    """Two workers of pytest-xdist that begin in different seconds would collect different tests."""
    calls = [
        (path, node)
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "compress"
    ]
    assert calls
    assert not [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, node in calls
        if ast.unparse(node.func) == "gzip.compress" and "mtime" not in {each.arg for each in node.keywords}
    ]


def test_what_is_left_to_do_has_the_number_of_an_issue():
    expect_none(re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))"), except_for={MYSELF}, only={".py", ".sh", ".toml"})


def test_no_file_names_a_place_on_somebodys_machine():
    expect_none(
        re.compile(r"(?<![\w./~\[\])*{}$-])/(work/|tmp/|root/|home/[a-z]|Users/[a-zA-Z]|mnt/)"), except_for={MYSELF}
    )


def test_no_file_names_a_registry_or_a_private_address():
    patterns = (
        r"--(extra-)?index-url[ =]\S",
        r"--find-links[ =]\S",
        r"index-url *= *[\"']?http",
        r"^\s*registry *= *[\"']?http",  # of npm and cargo; a schema registry is named within a setting
        r"(--|npm_config_)registry[ =]\S",
        r"https?://[^/\s\"'<>)]*(mirror|artifactory|nexus|pypi\.|pythonhosted|registry\.|\.internal|\.local\b|\.corp\b)",
        r"https?://[^/\s\"'@<>){}]+:[^/\s\"'@<>){}]+@",
        r"https?://(?!127\.|0\.0\.0\.0)\d+\.\d+\.\d+\.\d+",
    )
    expect_none(re.compile("|".join(patterns)), except_for={MYSELF})


def test_lock_files_hold_no_address():
    locks = [path for path in committed() if path.name in LOCK_FILES]
    assert locks
    for path in locks:
        assert "://" not in path.read_text(encoding="utf-8"), f"{path} holds an address"


# documents


def test_what_the_map_names_is_there():
    page = ROOT / "ARCHITECTURE.md"
    named = re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))
    gone = [name for name in named if not is_there(name)]
    assert not gone, f"named in ARCHITECTURE.md, and not there: {gone}"


def test_a_decision_says_what_why_what_else_and_when_to_look_again():
    for page in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        text = page.read_text(encoding="utf-8")
        for head in ("What", "Why", "What else was weighed", "When to look again"):
            assert re.search(rf"^[#*|\s-]*{head}\b(?! else)", text, re.MULTILINE | re.IGNORECASE), (
                f"{page.name} lacks {head!r}"
            )


def modules_imported_by_tests():
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
            elif isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
    return found


def committed():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout: git does not know which files are committed")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def expect_none(pattern, *, except_for=frozenset(), only=None):
    """Check that no line of a committed text matches."""
    found = []
    for path in committed():
        name = str(path.relative_to(ROOT))
        if name in except_for or (only is not None and path.suffix not in only):
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # no text
        found += [
            f"{name}:{number}: {line.strip()[:120]}" for number, line in enumerate(lines, 1) if pattern.search(line)
        ]
    assert not found, "\n".join(found)


def is_there(name):
    """Whether a name exists, if it is one: "core/x.py", "core/x.py: Name", "penstock.x.Name" or a folder "core/"."""
    if match := re.fullmatch(r"([\w./-]+\.py): (\w+(?:\.\w+)*)", name):
        path = place_of(match[1])
        return path is not None and all(
            re.search(rf"\b{part}\b", path.read_text(encoding="utf-8")) for part in match[2].split(".")
        )
    if re.fullmatch(r"penstock(\.\w+)+", name):
        return module_or_name(name)
    if re.fullmatch(r"[\w.-]+(/[\w.*-]+)*/?", name) and ("/" in name or name.endswith((".py", ".md", ".toml", ".sh"))):
        first = name.split("/")[0]
        is_path = name.endswith(("/", ".py", ".md", ".toml", ".sh")) or place_of(first) is not None
        return not is_path or place_of(name) is not None
    return True


def place_of(name):
    for folder in (ROOT, SOURCE, ROOT / "src"):
        if "*" in name and (found := next(folder.glob(name), None)):
            return found
        if (folder / name).exists():
            return folder / name
    return None


def module_or_name(dotted):
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
