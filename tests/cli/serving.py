"""Real processes of the command line, ended by their own id."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2

HELLO = Path(__file__).parents[2] / "examples" / "hello" / "app.py"
PENSTOCK = [sys.executable, "-m", "penstock.cli"]


@contextmanager
def served(file, *options, command="serve", cwd):
    """Serve an app in a process, on a free port. The process gets an attribute `said`: the next announcement."""
    arguments = [*PENSTOCK, command, str(file), "--port", "0", "--json", *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, cwd=cwd, text=True, **pipes) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def announced(process):
    """Return what the server says once it is up."""
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def call(url, agent, body, **options):
    response = httpx2.post(f"{url}/v1/agents/{agent}", json=body, timeout=30, **options)
    assert response.status_code == 200, response.text
    return response.json()
