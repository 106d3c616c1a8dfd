"""A server that is started again knows what it knew."""

import subprocess
import sys
from contextlib import contextmanager
from json import loads
from pathlib import Path

import httpx2
import pytest

HELLO = Path(__file__).parents[2] / "examples" / "hello" / "app.py"


@contextmanager
def developing(folder):
    """Run `penstock dev` in a folder, and yield its address; it is killed at the end (SIGKILL)."""
    command = [sys.executable, "-m", "penstock.cli", "dev", HELLO, "--port", "0", "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, text=True, **pipes) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield loads(line)["url"]
        finally:
            process.kill()


@pytest.mark.timeout(120)
def test_the_dev_server_knows_after_a_kill_what_it_knew_before(tmp_path):
    """langgraph #4183: the state of the development server was gone after each restart."""
    for met in (1, 2):
        with developing(tmp_path) as url:
            answered = httpx2.post(f"{url}/v1/agents/greeter", json={"name": "Ada"}, timeout=30)
            assert f"met {met} times" in answered.text
