"""The pause of a rebalance: two workers under a steady load; a third one joins, one leaves gently, and one is killed.

The pause is the longest time in which nothing of one key came out of the pipeline; each key is sent to every 200 ms.
"""

import itertools
import secrets
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hops_load import CE_TYPE, DRAIN_S, Flight, steady, until_ready
from hops_sides import SETTLE_S, Place, Started, log_address, run_command, started, store_address
from hops_wires import wire
from sides import NotMeasured

KEYS = 32
EVERY_S = 0.2
CASES = {"nothing happens": 3.0, "a third joins": 6.0, "one leaves": 6.0, "one is killed": 10.0}
STARTED_S = 30.0
STEP_S = 0.2
GOAL_S = 3.0
Arrivals = list[tuple[int, int, int]]


def longest_gap_s(arrivals: Arrivals, began_ns: int, ended_ns: int, keys: int = KEYS) -> float:
    """Return the longest time within a window in which nothing of one key came.

    A gap that had begun before the window counts with what lies in it, and one that lasts to its end too.
    """
    came: dict[int, list[int]] = {key: [] for key in range(keys)}
    for number, _, came_ns in arrivals:
        if began_ns <= came_ns <= ended_ns:
            came[number % keys].append(came_ns)
    longest = 0
    for times in came.values():
        edges = [began_ns, *sorted(times), ended_ns]
        longest = max(longest, *(later - earlier for earlier, later in itertools.pairwise(edges)))
    return longest / 1e9


async def pauses(broker: str, store: str, place: Place, *, share: float = 1.0) -> dict[str, Any]:
    """Have all cases on one tier, and return the pause of each. `share`: of the time that each one is watched."""
    where = place._replace(prefix=f"p{secrets.token_hex(3)}-")
    command = run_command(store_address(store, where), log_address(broker, where), "--beside")
    with ExitStack() as stack:

        def start(number: int) -> Started:
            return stack.enter_context(started(command, place.folder / f"worker-{number}.log"))

        async with wire(where.address(broker), where.prefix, "penstock") as connection:
            await connection.make()
            flight = Flight(connection, CE_TYPE, KEYS)
            workers = [start(1)]
            await ready(flight, workers[0])
            workers.append(start(2))
            return await _cases(flight, workers, start, share)


async def ready(flight: Flight, worker: Started) -> None:
    try:
        await until_ready(flight)
    except NotMeasured as error:
        raise NotMeasured(f"{error}: {worker.complaint()}") from error


async def _cases(flight: Flight, workers: list[Started], start: Any, share: float) -> dict[str, Any]:
    rate, began_ns = KEYS / EVERY_S, time.time_ns()
    passed_s = done = 0.0

    async def watched(seconds: float) -> None:
        nonlocal passed_s, done
        passed_s += seconds
        await steady(flight, rate, passed_s, began_ns, done=int(done))
        done = int(passed_s * rate)

    async def until_it_runs(worker: Started) -> None:
        """Go on with the load until a worker has its share, or soon will."""
        until_s = time.monotonic() + STARTED_S
        while not worker.runs():
            if time.monotonic() > until_s:
                raise NotMeasured(f"a worker did not join within {STARTED_S:.0f} s: {worker.complaint()}")
            await watched(STEP_S)

    await until_it_runs(workers[1])
    await watched(SETTLE_S * share)
    found: dict[str, Any] = {}
    for case, seconds in CASES.items():
        case_ns = time.time_ns()
        if case == "a third joins":
            workers.append(start(3))
            await until_it_runs(workers[2])
        elif case == "one leaves":
            workers[0].process.send_signal(signal.SIGTERM)
        elif case == "one is killed":
            workers[1].process.send_signal(signal.SIGKILL)
        await watched(seconds * share)
        found[case] = round(longest_gap_s(flight.arrivals, case_ns, time.time_ns()), 2)
    await flight.drained(DRAIN_S)
    counts = {"sent": flight.sent, "lost": flight.open, "doubled": flight.doubled, "out_of_order": flight.out_of_order}
    return {"pauses": found, **counts}


def folder_of(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir(parents=True, exist_ok=True)
    return made
