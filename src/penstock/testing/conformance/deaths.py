"""The part of a conformance test that is about a host: its workers die within a step, and another one goes on (C4)."""

from pathlib import Path

from penstock.app import Running
from penstock.testing.conformance.depot import Deadly
from penstock.testing.conformance.report import Report
from penstock.testing.outside import Outside

DEATHS = 2
AGAIN_S = 60.0
BEFORE, AFTER = "before#0", "after#0"


async def host_workers_die(live: Running, folder: Path, report: Report) -> None:
    """Have the worker killed that executes a handling, and count what was done again."""
    row, attempts = report["C4"], list[int]()
    for number in range(DEATHS):
        customer = f"deadly-{number}"
        await live.call("perish", Deadly(customer=customer), id=customer, within_s=AGAIN_S)
        attempts.append((await live.engine.run(f"{customer}:perish")).change.attempt)
    done = [step for _, run, step in Outside(folder).executions() if run.endswith(":perish")]
    row.expect(
        done.count(BEFORE) == DEATHS, f"a step that was recorded was executed {done.count(BEFORE)} times on a host"
    )
    row.expect(done.count(AFTER) == DEATHS, f"{done.count(AFTER)} of {DEATHS} handlings went on after a worker's death")
    row.expect(attempts == [1] * DEATHS, f"the death of a worker counted as an attempt: {attempts}")
    row.counts["workers of the host that died"] = DEATHS
