import asyncio
import json
import subprocess
import sys
from contextlib import chdir

import pytest
from serving import HELLO, PENSTOCK
from typer.testing import CliRunner

import penstock
from penstock.app import load
from penstock.cli import app

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
    assert said("version") == f"penstock {penstock.__version__}\n"
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
    assert "one of queued, running, retrying, succeeded, failed" in said("runs", "list", "--status", "odd", code=2)


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
    assert "which one: .penstock/a.db, .penstock/b.db?" in said("runs", "list", code=2)


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
