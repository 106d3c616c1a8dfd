import asyncio
import json
import re
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from serving import HELLO, PENSTOCK
from typer.testing import CliRunner

import penstock
from penstock.cli import app
from penstock.cli.loading import load
from penstock.errors import RunFailed
from penstock.gateway.shapes import STATUSES

PLAN = """
from penstock import App, Context, Event, Retry

class Task(Event):
    name: str

class Done(Event):
    name: str

app = App("plan")

@app.agent(retry=Retry(attempts_max=1))
async def worker(task: Task, ctx: Context) -> Done:
    if task.name == "bad":
        raise ValueError("cannot do it")
    name = await ctx.step("work", str.upper, task.name)
    return Done(name=name)
"""


@pytest.fixture
def folder(tmp_path):
    """A working folder with an app in it."""
    (tmp_path / "app.py").write_text(PLAN)
    with chdir(tmp_path):
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]  # `load` puts the app's folder there
    sys.modules.pop("app", None)


@pytest.fixture
def done(folder):
    """The app has done one thing, and failed at another."""
    asyncio.run(worked(load(folder / "app.py")))


async def worked(plan):
    (task,) = plan.agents["worker"].accepts
    async with plan.running() as running:
        for name in ("good", "bad"):
            await running.send(task(name=name), id=name)
        assert await running.engine.settled(10)


def said(*arguments, code=0):
    """Run a command, and return what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def told(*arguments):
    return json.loads(said(*arguments, "--json"))


def test_the_version_is_printed():
    assert said("version") == said("--version") == f"penstock {penstock.__version__}\n"
    assert told("version") == {"version": penstock.__version__}


def test_help_needs_nothing_heavy():
    heavy = "{'fastapi', 'uvicorn', 'numpy', 'pydantic', 'rich', 'asyncio'}"
    check = f"import sys, penstock.cli; print(sorted({heavy} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"
    for command in ("", "serve", "dev", "runs", "events", "dead", "demo", "bench"):
        assert "Usage" in said(*command.split(), "--help")


def test_all_runs_are_listed_from_the_only_store_there_is(done):
    runs = told("runs", "list")
    assert {(run["run_id"], run["status"]) for run in runs} == {("good:worker", "succeeded"), ("bad:worker", "failed")}
    table = said("runs", "list")
    assert "good:worker" in table
    assert "ValueError: cannot do it" in table


def test_runs_are_listed_by_what_is_asked_for(done):
    assert [run["run_id"] for run in told("runs", "list", "--status", "failed")] == ["bad:worker"]
    assert told("runs", "list", "--agent", "nobody") == []
    assert told("runs", "list", "--tenant", "acme") == []
    assert len(told("runs", "list", "--limit", "1")) == 1
    assert said("runs", "list", "--tenant", "acme") == "none\n"


def test_a_status_that_does_not_exist_is_named(done):
    assert "one of queued, running, retrying, asking, succeeded, failed" in said(
        "runs", "list", "--status", "odd", code=2
    )


@pytest.mark.parametrize("command", [("runs", "good:worker", "RUN"), ("events", "good", "EVENT")])
def test_the_app_and_the_id_come_in_any_order(done, command):
    noun, one, name = command
    assert told(noun, "show", one, "app.py") == told(noun, "show", "app.py", one)
    assert f"{name}: is not given" in said(noun, "show", "app.py", code=2)
    assert f"{name}: is given twice" in said(noun, "show", one, one, code=2)
    Path("app").write_text(PLAN)  # what exists is a file, whatever it is called
    assert "is not a Python file" in said(noun, "show", "app", one, code=2)


def test_an_agent_that_the_app_has_not_is_named_beside_those_that_it_has(done):
    message = said("runs", "list", "app.py", "--agent", "nobody", code=2)
    assert "--agent: is 'nobody' (the app has worker)" in message
    assert len(told("runs", "list", "app.py", "--agent", "worker")) == 2


def test_the_help_names_each_status(folder):
    with_blanks = " ".join(said("runs", "list", "--help").split())
    assert f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}." in with_blanks


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_what_is_shown_fits_the_screen(done, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in (["runs", "list"], ["runs", "show", "bad:worker"], ["events", "show", "good"], ["dead", "list"]):
        lines = said(*command).splitlines()
        assert max(map(len, lines)) <= columns
        assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("where", [["app.py"], ["--store", "sqlite:.penstock/plan.db"], []])
def test_a_run_is_shown_wherever_its_store_is_named(done, where):
    run = told("runs", "show", "good:worker", *where)
    assert (run["status"], run["result"]) == ("succeeded", {"name": "GOOD"})
    assert [step["name"] for step in run["steps"]] == ["work#0"]


def test_a_run_is_shown_to_people(done):
    good, bad = said("runs", "show", "good:worker"), said("runs", "show", "bad:worker")
    assert '{"name":"GOOD"}' in good
    assert "work#0" in good
    assert "ValueError: cannot do it" in bad


def test_an_event_is_shown_with_what_it_led_to(done):
    shown = told("events", "show", "good")
    assert (shown["event"]["data"], shown["topic"], shown["offset"]) == ({"name": "good"}, "task", 1)
    assert [(each["type"], each["data"]) for each in shown["led_to"]] == [("Done.v1", {"name": "GOOD"})]
    assert "Done.v1  by /plan/worker" in said("events", "show", "good")


def test_dead_letters_are_listed_with_the_reason(done):
    (letter,) = told("dead", "list")
    assert letter["run_id"] == "bad:worker"
    assert letter["reason"].startswith("ValueError: cannot do it")
    assert "bad:worker" in said("dead", "list")


def test_what_is_missing_is_said_without_a_traceback(done):
    for command in (["runs", "show", "nothing"], ["events", "show", "nothing"], ["runs", "list", "nothing.py"]):
        message = said(*command, code=2)
        assert message.startswith("penstock: ")
        assert "nothing" in message
        assert "Traceback" not in message


def test_the_traceback_is_there_for_who_asks(done):
    assert "Traceback" in said("--debug", "runs", "show", "nothing", code=2)


def test_without_a_store_it_says_how_to_name_one(folder):
    assert "run an app here first" in said("runs", "list", code=2)
    (folder / ".penstock").mkdir()
    (folder / ".penstock" / "a.db").touch()
    (folder / ".penstock" / "b.db").touch()


@pytest.mark.parametrize(
    "command", [("runs", "list"), ("runs", "show", "a b:c"), ("events", "show", "e"), ("dead", "list")]
)
def test_where_there_are_several_stores_it_says_what_to_type(done, command):
    Path(".penstock/other.db").touch()
    message = said(*command, code=2)
    assert "there are several stores here: type\n" in message
    typed = [shlex.split(line) for line in message.splitlines() if line.startswith("  penstock ")]
    assert typed == [["penstock", *command, "--store", f"sqlite:.penstock/{name}.db"] for name in ("other", "plan")]


def test_of_many_stores_some_are_named(folder):
    (folder / ".penstock").mkdir()
    for number in range(30):
        (folder / ".penstock" / f"{number}.db").touch()
    message = said("runs", "list", code=2)
    assert message.count("--store") == 10
    assert "30" in message


def test_what_a_failed_run_says_to_type_can_be_typed(done):
    hint = str(RunFailed("bad:worker", "cannot")).split("`")[1]
    assert "ValueError: cannot do it" in said(*shlex.split(hint)[1:])


def test_a_store_in_memory_cannot_be_looked_at(folder):
    assert "GET /v1/runs" in said("runs", "list", "--store", "memory:", code=2)


def test_a_file_without_an_app_is_not_valid(folder):
    (folder / "empty.py").write_text("")
    assert "define exactly one" in said("serve", "empty.py", code=2)
    assert "does not exist" in said("dev", "nothing.py", code=2)
    (folder / "README.md").write_text("# An app")
    assert "is not a Python file" in said("serve", "README.md", code=2)
    assert "is a folder" in said("serve", ".", code=2)


@pytest.mark.parametrize("wrong", ['"worker"', "retires=3", 'batch="10"', "retry=3"])
def test_an_agent_that_is_declared_wrongly_is_said_to_be(folder, wrong):
    (folder / "wrong.py").write_text(PLAN.replace("retry=Retry(attempts_max=1)", wrong))
    message = said("serve", "wrong.py", code=2)
    assert message.startswith(
        "penstock: cannot accept agent 'worker':" if "=" in wrong else "penstock: cannot accept agent"
    )
    assert wrong.partition("=")[0].strip('"') in message
    assert "Traceback" not in message


BESIDE = """
def look():
    return nowhere

look()
"""


@pytest.mark.parametrize(
    ("text", "last", "frames"),
    [
        ("def (", "SyntaxError: invalid syntax", ["line 1"]),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'", ["line 1"]),
        ("\nimport beside", "NameError: name 'nowhere' is not defined", ["line 2", "line 5", "line 3"]),
        ("import json\njson.loads('{')", "JSONDecodeError: Expecting", ["line 2"]),
    ],
)
def test_a_broken_file_is_shown_in_its_own_lines(folder, text, last, frames):
    (folder / "broken.py").write_text(text)
    (folder / "beside.py").write_text(BESIDE)
    for command in (["serve", "broken.py"], ["runs", "list", "broken.py"]):
        message = said(*command, code=2)
        assert message.startswith("penstock: broken.py cannot be executed:\n")
        assert last in message.splitlines()[-1]
        assert re.findall(r"line \d+", message)[: len(frames)] == frames
        assert all(str(folder) in line for line in message.splitlines() if line.startswith("  File "))
        assert "Traceback" not in message
    assert "Traceback" in said("--debug", "serve", "broken.py", code=2)


def test_reading_needs_no_web_framework(done, folder):
    check = "import sys; from penstock.cli import app; app(['runs', 'list'], standalone_mode=False); print('fastapi' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=folder)
    assert result.stdout.endswith("False\n")


def test_the_module_is_the_command():
    output = subprocess.run([*PENSTOCK, "version"], capture_output=True, text=True, check=True).stdout
    assert output == f"penstock {penstock.__version__}\n"


async def test_the_hello_example_remembers_whom_it_met():
    hello = load(HELLO)
    (event,) = hello.agents["greeter"].accepts
    async with hello.running(store="memory:") as running:
        said = [await running.call("greeter", event(name=name)) for name in ("Ada", "Ada", "Bo")]
    assert [each.rpartition("met ")[2] for each in said] == ["1 times.", "2 times.", "1 times."]
    assert len(HELLO.read_text().splitlines()) <= 15
