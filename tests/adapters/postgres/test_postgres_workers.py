"""Two real workers on a real Postgres, one of which is killed: what `make takeover` shows, but for the seconds."""

import asyncio
import json
import sys
from pathlib import Path

import asyncpg
import pytest
from clock_set_back import AHEAD_MS, expect_the_dead_are_fenced

from penstock.adapters.postgres.store import open_postgres_store

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


async def test_who_died_before_the_clock_was_set_back_is_fenced_soon(server, url):
    connection = await asyncpg.connect(server.dsn)
    schema = url.partition("schema=")[2]

    async def ahead():
        await connection.execute(f"UPDATE {schema}.worker SET seen = seen + interval '{AHEAD_MS} milliseconds'")

    try:
        async with open_postgres_store(url) as store:
            await expect_the_dead_are_fenced(store, ahead)
    finally:
        await connection.close()
