"""`penstock runs check`: which runs under way would break under the code of now, beside the app that runs the old one."""

import asyncio
import json
import sys
from contextlib import chdir

import pytest
from typer.testing import CliRunner

from penstock.cli import app
from penstock.cli.loading import load

OLD = """
from pathlib import Path
from penstock import App, Event, WorkflowContext

class Trip(Event, key="who"):
    who: str

app = App("trips")

@app.workflow
async def travel(trip: Trip, ctx: WorkflowContext) -> str:
    await ctx.step("pay", Path("paid").touch)
    await ctx.wait_for("go")
    await ctx.step("ship", Path("shipped").touch)
    await ctx.wait_for("end")
    return trip.who
"""
NEW = OLD.replace(
    '    await ctx.step("ship"', '    await ctx.step("weigh", Path("weighed").touch)\n    await ctx.step("ship"'
)


@pytest.fixture
def folder(tmp_path):
    """A working folder with an app in it."""
    (tmp_path / "app.py").write_text(OLD)
    with chdir(tmp_path):
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]
    forget()


def forget():
    for name in ("app", "new"):
        sys.modules.pop(name, None)


async def begun(folder, count, *, then=None):
    """Run the old app until `count` runs wait for `go`, and one for `end`; do something while it runs."""
    trips = load(folder / "app.py")
    trip = trips.agents["travel"].accepts[0]
    async with trips.running() as live:
        runs = [await live.start("travel", trip(who=f"w{n}"), id=f"w{n}") for n in range(count + 1)]
        await live.signal(runs[-1], "go")
        await live.engine.until(
            lambda: live.engine.run(runs[-1]), lambda run: "ship#0" in {each.step for each in run.records}
        )
        forget()
        if then is not None:
            return await asyncio.to_thread(then)
    return None


def check(file="app.py", *options):
    result = CliRunner().invoke(app, ["runs", "check", file, *options])
    return result.exit_code, result.output


def test_the_same_code_breaks_nothing_and_nothing_is_done(folder):
    asyncio.run(begun(folder, 3))
    for name in ("paid", "shipped"):
        (folder / name).unlink()
    code, said = check()
    assert (code, said) == (0, "4 go on\n")
    assert not {"paid", "shipped"} & {each.name for each in folder.iterdir()}


def test_what_would_break_is_told_with_its_line_and_what_to_do_beside_the_running_app(folder):
    (folder / "new.py").write_text(NEW)
    code, said = asyncio.run(begun(folder, 3, then=lambda: check("new.py")))
    assert code == 1
    assert "1 run of travel (version 1) would halt" in said
    assert "the code asks for 'weigh#0' where the journal has 'ship#0'" in said
    assert f"at new.py:{NEW[: NEW.index('weigh')].count(chr(10)) + 1}" in said
    assert "ctx.version('WHAT CHANGED', 2)" in said
    assert "w3:travel" in said
    assert "3 go on, 1 would halt" in said
    assert not (folder / "weighed").exists()


def test_as_json_with_a_limit_and_of_one_workflow(folder):
    asyncio.run(begun(folder, 3))
    (folder / "new.py").write_text(NEW)
    code, said = check("new.py", "--json")
    found = json.loads(said)
    assert (code, found["broken"], found["counts"], found["is_all"]) == (1, 1, {"fits": 3, "breaks": 1}, True)
    (broken,) = [each for each in found["runs"] if each["outcome"] == "breaks"]
    assert (broken["run_id"], broken["step"], broken["status"]) == ("w3:travel", "weigh#0", "running")
    forget()
    code, said = check("app.py", "--limit", "2")
    assert (code, "there are more than 2 runs" in said) == (1, True)
    forget()
    assert check("app.py", "--workflow", "other") == (0, "no runs are under way\n")


def test_runs_whose_name_is_gone_are_told(folder):
    asyncio.run(begun(folder, 1))
    (folder / "new.py").write_text(OLD.replace("async def travel", "async def journey"))
    code, said = check("new.py")
    assert (code, "2 runs of travel (version 1) have no code any more" in said) == (1, True)


def test_histories_are_saved_for_tests(folder):
    asyncio.run(begun(folder, 1))
    assert check("app.py", "--save", "kept/runs.jsonl")[0] == 0
    lines = (folder / "kept" / "runs.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["run"]["run_id"] for line in lines) == ["w0:travel", "w1:travel"]
