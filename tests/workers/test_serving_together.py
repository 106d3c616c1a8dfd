"""`penstock serve --workers`: several processes behind one port."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx2
import pytest
from worker_processes import COUNTING, workers_in

pytestmark = pytest.mark.timeout(120)


@contextmanager
def served(store, workers):
    program = [sys.executable, "-m", "penstock.cli", "serve", str(COUNTING), "--port", "0", "--json"]
    options = ["--store", store, "--workers", str(workers)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*program, *options], text=True, **pipes) as process:
        try:
            yield process, json.loads(process.stdout.readline())["url"]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            finally:
                process.kill()


def order(url, customer, number):
    """Ask by a connection of its own, so that any worker may take it."""
    body = {"customer": customer, "number": number}
    transport = httpx2.HTTPTransport(retries=5)
    with httpx2.Client(transport=transport, timeout=30) as client:
        response = client.post(f"{url}/v1/agents/take", json=body, headers={"Idempotency-Key": f"{customer}-{number}"})
    assert response.status_code == 200, response.text
    return response.json()["result"]


def test_whoever_takes_a_request_answers_it_and_one_that_is_killed_is_replaced(store):
    with served(store, 2) as (process, url):
        first, second = workers_in(process, 2)
        for number in range(3):
            for customer in range(8):
                assert order(url, f"c{customer}", number) == list(range(number + 1))
        os.kill(first, signal.SIGKILL)
        for customer in range(8):
            assert order(url, f"c{customer}", 3) == [0, 1, 2, 3]
        (again,) = workers_in(process, 1)
        assert again not in {first, second}
    assert process.returncode == 0


def test_whoever_is_asked_tells_what_a_run_of_another_worker_comes_to(store):
    with served(store, 2) as (process, url):
        workers_in(process, 2)
        for customer in range(6):
            body = {"customer": f"c{customer}", "number": 1}
            accepted = httpx2.post(f"{url}/v1/agents/take?wait_s=0", json=body, timeout=30).json()
            with httpx2.stream("GET", f"{url}/v1/runs/{accepted['run_id']}/events", timeout=10) as response:
                lines = list(response.iter_lines())
            assert "event: succeeded" in lines


def test_a_port_that_is_taken_is_refused_before_any_worker_starts(tmp_path):
    with served(f"sqlite:{tmp_path / 'counting.db'}", 1) as (process, url):
        workers_in(process, 1)
        port = url.rpartition(":")[2]
        command = [sys.executable, "-m", "penstock.cli", "serve", str(COUNTING), "--port", port, "--workers", "2"]
        other = ["--store", f"sqlite:{tmp_path / 'other.db'}"]
        second = subprocess.run([*command, *other], capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 2
        assert "choose another --port" in second.stderr
        assert not (tmp_path / "other.db").exists()
