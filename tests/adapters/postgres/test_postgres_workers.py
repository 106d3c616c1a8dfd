"""Two real workers on a real Postgres, one of which is killed: what `make takeover` shows, but for the seconds."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "takeover.py"


@pytest.mark.timeout(180)
async def test_a_killed_workers_keys_go_on_with_the_other_once_and_in_order(server):
    program = [sys.executable, str(SCRIPT), "--rounds", "1", "--json"]
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    (only,) = json.loads(said)["rounds"]
    assert only["asked"] > 100
    assert only["once_in_order"]
