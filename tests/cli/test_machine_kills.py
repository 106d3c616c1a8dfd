"""Real processes that lead state machines, killed with SIGKILL: every run ends, and each task counts once."""

import signal
import sys
from collections import Counter
from contextlib import chdir

import httpx2
import pytest
from serving import announced, served

APP = """
from pathlib import Path
from penstock import App, Context, TaskInput

app = App("kills")

def note(key: str) -> None:
    with Path("done").open("a") as lines:
        lines.write(key + chr(10))

@app.agent
async def work(given: TaskInput, ctx: Context) -> object:
    await ctx.step("note", note, ctx.idempotency_key("note"))
    return given.input

TASK = {"Type": "Task", "Resource": "agent:work"}
app.workflow("batch", definition={"StartAt": "Each", "States": {
    "Each": {
        "Type": "Map",
        "MaxConcurrency": 2,
        "ItemProcessor": {"StartAt": "Work", "States": {"Work": {**TASK, "End": True}}},
        "Next": "Rest",
    },
    "Rest": {"Type": "Wait", "Seconds": 1, "Next": "Last"},
    "Last": {**TASK, "End": True},
}})
"""
RUNS, ITEMS, KILLS = 8, 5, 1


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    with chdir(tmp_path):
        yield tmp_path
    sys.path[:] = [each for each in sys.path if each not in (".", str(tmp_path))]


def begun(url, number, **more):
    body = {"input": list(range(ITEMS)), "name": f"n{number}", **more}
    return httpx2.post(f"{url}/v1/machines/batch/runs", json=body, timeout=30).json()


def test_runs_outlive_kills_of_their_process_and_no_task_is_lost_or_doubled(folder):
    for kill in range(KILLS):
        with served("app.py", cwd=folder) as process:
            url = announced(process)["url"]
            for number in range(kill, RUNS, KILLS):
                begun(url, number)
            process.send_signal(signal.SIGKILL)  # in the midst of what it has begun
            process.wait(10)
    with served("app.py", cwd=folder) as process:
        url = announced(process)["url"]
        for number in range(RUNS):
            run = begun(url, number, wait_s=25)  # the same name: the same run
            assert (run["status"], run["output"]) == ("SUCCEEDED", list(range(ITEMS)))
    done = Counter((folder / "done").read_text().split())
    assert len(done) == RUNS * (ITEMS + 1), "each task has one key"
    assert max(done.values()) <= KILLS + 1
    assert sum(done.values()) <= len(done) + 2 * KILLS * RUNS, "only what was cut off is done again"
