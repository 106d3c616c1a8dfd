"""`penstock run` that is asked to end (SIGTERM, as Kubernetes does) ends what it does first, and hands the rest on."""

import os
import signal
from pathlib import Path

import pytest
from worker_processes import command

from penstock import App
from penstock.cli.loading import load
from penstock.cli.working import divide
from penstock.ports.state import RunFilter
from penstock.settings import Settings
from penstock.wiring import opened_catalog

pytestmark = pytest.mark.timeout(60)
SLOW = Path(__file__).parent / "slow.py"


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
async def test_what_is_under_way_ends_and_is_durable(workers, tmp_path, monkeypatch):
    notes = tmp_path / "notes.txt"
    notes.touch()
    monkeypatch.setenv("SLOW_NOTES", str(notes))
    store = f"sqlite:{tmp_path / 'slow.db'}"
    app = load(SLOW)
    (job,) = app.agents["work"].accepts
    if workers:  # before there is anything: it would be handled first
        await divide(app, Settings(store=store), 4)
    async with App("slow", events=[job]).running(Settings(store=store), beside=bool(workers)) as live:
        await live.send(job(name="one"), id="one")
    with command("run", str(SLOW), "--store", store, *workers, environment={**os.environ}) as process:
        for _ in range(600):
            if "one begins" in notes.read_text():
                break
            signal.sigtimedwait([], 0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert notes.read_text().splitlines() == ["one begins, attempt 1", "one ends"]
    with opened_catalog(store) as catalog:
        (run,) = await catalog.runs(RunFilter(agent="work"))
        assert (run.run_id, run.status, run.attempt) == ("one:work", "succeeded", 1)
