"""`penstock serve` and `penstock dev` as processes."""

import os
import signal
import sqlite3
import subprocess
import threading
from contextlib import closing, suppress

import httpx2
import pytest
from serving import HELLO, PENSTOCK, announced, call, served

SLOW = """
import asyncio
from penstock import App, Event

class Task(Event):
    name: str

app = App("slow")

@app.agent
async def worker(task: Task) -> str:
    if task.name == "stuck":
        await asyncio.sleep(600)
    return task.name
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_an_app_is_served_and_ends_cleanly(tmp_path, ending):
    with served(HELLO, cwd=tmp_path) as process:
        known = announced(process)
        assert (known["app"], known["pid"], known["store"]) == ("hello", process.pid, "sqlite:.penstock/hello.db")
        assert httpx2.get(f"{known['url']}/healthz").json()["status"] == "ok"
        assert call(known["url"], "greeter", {"name": "Ada"})["result"] == "Hello Ada, we have met 1 times."
        process.send_signal(ending)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    assert [each.name for each in (tmp_path / ".penstock").iterdir()] == ["hello.db"]


def test_state_survives_a_kill(tmp_path):
    for met in (1, 2):
        with served(HELLO, cwd=tmp_path) as process:
            url = announced(process)["url"]
            assert f"met {met} times" in call(url, "greeter", {"name": "Ada"})["result"]
            process.kill()


def test_a_second_app_on_the_same_store_is_refused_and_runs_can_be_looked_at(tmp_path):
    with served(HELLO, cwd=tmp_path) as process:
        url = announced(process)["url"]
        run = call(url, "greeter", {"name": "Ada"})["run_id"]
        second = subprocess.run(
            [*PENSTOCK, "serve", HELLO, "--port", "0"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert f"in use by process {process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        listed = subprocess.run([*PENSTOCK, "runs", "list"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert run in listed.stdout
        assert call(url, "greeter", {"name": "Ada"})["result"].endswith("2 times.")


def test_a_port_that_is_taken_is_refused(tmp_path):
    with served(HELLO, cwd=tmp_path) as process:
        port = announced(process)["url"].rpartition(":")[2]
        command = [*PENSTOCK, "serve", HELLO, "--port", port, "--store", "memory:"]
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert "choose another --port" in second.stderr


def test_who_waits_and_who_listens_is_let_go_at_the_end(tmp_path):
    (tmp_path / "app.py").write_text(SLOW)
    with served("app.py", cwd=tmp_path) as process:
        url = announced(process)["url"]
        accepted = httpx2.post(f"{url}/v1/agents/worker?wait_s=0", json={"name": "stuck"}).json()
        answers = []

        def wait():
            answers.append(httpx2.post(f"{url}/v1/agents/worker?wait_s=300", json={"name": "stuck"}, timeout=30))

        with httpx2.stream("GET", f"{url}/v1/runs/{accepted['run_id']}/events", timeout=30) as response:
            lines = response.iter_lines()
            assert next(lines) == ": penstock"
            waiting = threading.Thread(target=wait)
            waiting.start()
            while events_in(tmp_path / ".penstock" / "slow.db") < 2:
                pass  # the caller waits as soon as his event is in the log
            process.send_signal(signal.SIGTERM)
            list(lines)  # the stream ends, and is not torn off
        waiting.join(30)
        assert answers[0].status_code == 202
        assert process.wait(timeout=30) == 0


def events_in(file):
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT count(*) FROM event").fetchone()[0]


def until_nobody_listens(url):
    with suppress(httpx2.TransportError):
        while True:
            httpx2.get(f"{url}/healthz")


def test_who_stops_it_is_told_what_is_waited_for(tmp_path):
    (tmp_path / "app.py").write_text(SLOW)
    with served("app.py", cwd=tmp_path) as process:
        url = announced(process)["url"]
        for name in ("quick", "stuck", "stuck"):
            run = httpx2.post(f"{url}/v1/agents/worker?wait_s=0", json={"name": name}).json()["run_id"]
        while httpx2.get(f"{url}/v1/runs/{run}").json()["status"] != "running":
            pass
        call(url, "worker", {"name": "quick"})
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "penstock: finishing 2 handlings; Ctrl-C again to leave now\n"


def test_an_app_without_agents_is_served_with_a_warning(tmp_path):
    (tmp_path / "app.py").write_text("from penstock import App\napp = App('bare')\n")
    with served("app.py", cwd=tmp_path) as process:
        announced(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == "penstock: the app 'bare' has no agents: declare one with @app.agent\n"


def test_a_second_signal_does_not_wait(tmp_path):
    (tmp_path / "app.py").write_text(SLOW)
    with served("app.py", cwd=tmp_path) as process:
        url = announced(process)["url"]
        run = httpx2.post(f"{url}/v1/agents/worker?wait_s=0", json={"name": "stuck"}).json()["run_id"]
        process.send_signal(signal.SIGINT)
        until_nobody_listens(url)  # then the first one has come
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    with served("app.py", cwd=tmp_path) as process:
        again = httpx2.get(f"{announced(process)['url']}/v1/runs/{run}").json()
        assert again["status"] in ("queued", "running")


def test_an_app_ends_when_its_supervisor_does(tmp_path):
    with served(HELLO, "--while-stdin-open", cwd=tmp_path) as process:
        announced(process)
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def test_a_change_of_the_app_is_served_and_state_is_kept(tmp_path):
    file = tmp_path / "app.py"
    file.write_text(HELLO.read_text())
    with served(file, command="dev", cwd=tmp_path) as process:
        assert (
            call(announced(process)["url"], "greeter", {"name": "Ada"})["result"] == "Hello Ada, we have met 1 times."
        )
        file.write_text(HELLO.read_text().replace("Hello {", "Welcome back {"))
        known = announced(process)
        assert call(known["url"], "greeter", {"name": "Ada"})["result"] == "Welcome back Ada, we have met 2 times."
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(known["pid"], 0)


def test_an_app_that_is_broken_for_a_moment_comes_back(tmp_path):
    file = tmp_path / "app.py"
    file.write_text("this is no python")
    with served(file, command="dev", cwd=tmp_path) as process:
        while "started again at the next change" not in process.stderr.readline():
            pass
        file.write_text(HELLO.read_text())
        assert "1 times" in call(announced(process)["url"], "greeter", {"name": "Ada"})["result"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
