"""Brokers that fail while an app's workers go on: a quick part of `make chaos`. The whole is in docs/chaos.md."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[1] / "services"
PATHS = [str(SERVICES / each) for each in ("brokers", "postgres", "proxy", "faults")]
pytestmark = pytest.mark.timeout(200)  # the first time, a server is installed


def test_nothing_is_lost_doubled_or_out_of_order_when_a_broker_is_killed(tmp_path):
    program = [
        sys.executable,
        str(SERVICES / "faults" / "fault_scene.py"),
        "redis",
        "server killed",
        str(tmp_path),
        "60",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}
    ended = subprocess.run(program, capture_output=True, text=True, timeout=180, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr[-2000:]
    outcome = json.loads(ended.stdout.splitlines()[-1])
    if outcome["untried"] and os.environ.get("PENSTOCK_REQUIRE_SERVICES") != "1":
        pytest.skip(f"NOT TESTED ON REDIS: {outcome['untried']}")
    assert outcome["holds"], outcome
    assert not outcome["untried"]
