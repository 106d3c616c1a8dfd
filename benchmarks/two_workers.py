"""W1 on two workers of penstock that share a store, each with half of the clients.

- Each worker's clients send turns of the sessions that this worker owns, as a router by key would; with `--to-either` of all
  sessions, so that half of the turns go to the other one.
- The workers begin together, once each owns half of the partitions.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sides import NotMeasured, fresh_folder, last_lines, started

from penstock.bench import machine, workload
from penstock.bench.load import Measured, Plan, percentile
from penstock.bench.places import Place
from penstock.bench.turns import SPACE, Options, loaded, passages_index, preload, turns_app
from penstock.cli.working import divide
from penstock.core.events.partitions import partition_of
from penstock.runtime.process import run_tuned
from penstock.runtime.tasks import Tasks
from penstock.runtime.vector_batch import VectorBatch
from penstock.settings import Settings

WORKERS = 2
PARTITIONS = 16
SHARED_WITHIN_S = 30.0
ENDED_WITHIN_S = 60.0


def command() -> int:
    parser = argparse.ArgumentParser(prog="two_workers.py", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--store", required=True)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warmup", type=float, default=1.5)
    parser.add_argument(
        "--to-either", action="store_true", help="send a turn to either worker, whoever owns its session"
    )
    parser.add_argument("--one", type=Path, metavar="FILE", help="be one of the workers, and write its figures there")
    given = parser.parse_args()
    try:
        if given.one is not None:
            given.one.write_text(json.dumps(run_tuned(one(given))), encoding="utf-8")
        else:
            print(json.dumps(both(given)), flush=True)
    except NotMeasured as error:
        print(f"of one of the workers: {error}", file=sys.stderr)
        return 1
    return 0


def both(given: argparse.Namespace) -> dict[str, Any]:
    """Prepare the store, let the workers begin together, and add up what they found."""
    place = Place(given.store, Path(given.store.removeprefix("sqlite:")) if given.store.startswith("sqlite:") else None)
    asyncio.run(prepared(given.store))
    before = asyncio.run(place.kept_bytes())
    child = [sys.executable, __file__, *sys.argv[1:], "--one"]
    with ExitStack() as stack:
        # Not through a pipe: what one worker finds is larger than a pipe takes while nobody reads it.
        files = [stack.enter_context(fresh_folder()) / "figures.json" for _ in range(WORKERS)]
        processes = [stack.enter_context(started([*child, str(each)], stdin=subprocess.PIPE)) for each in files]
        for each in processes:
            assert each.stdout is not None
            each.stdout.readline()  # it has its share
        for each in processes:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        within_s = given.warmup + given.seconds + ENDED_WITHIN_S
        found = [figures_in(file, each, within_s) for file, each in zip(files, processes, strict=True)]
    return added(found, given) | {
        "bytes_per_turn": round(
            (asyncio.run(place.kept_bytes()) - before) / max(1, sum(each["sent"] for each in found))
        )
    }


def figures_in(file: Path, process: "subprocess.Popen[str]", within_s: float) -> dict[str, Any]:
    """Wait for a worker's end, and return what it wrote. Raises `NotMeasured`."""
    try:
        _, complaints = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired as error:
        raise NotMeasured(f"it did not end within {within_s:g} s") from error
    if not file.is_file():
        raise NotMeasured(f"it ended with {process.returncode}: {last_lines(complaints)}")
    return json.loads(file.read_text(encoding="utf-8"))


def added(found: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    turns = sum(each["turns"] for each in found)
    latencies_ms = sorted(latency for each in found for latency in each["latencies_ms"])
    return {
        "turns_per_s": round(sum(each["turns"] / each["seconds"] for each in found), 1),
        "p50_ms": round(percentile(latencies_ms, 0.5), 3),
        "p99_ms": round(percentile(latencies_ms, 0.99), 3),
        "cpu_ms_per_turn": round(sum(each["cpu_s"] for each in found) * 1000 / max(1, turns), 4),
        "in_flight": given.in_flight,
        "turns": turns,
        "errors": sum(each["errors"] for each in found),
        "first_error": next((each["first_error"] for each in found if each["first_error"]), ""),
        "rss_mb": sum(each["rss_mb"] for each in found),
        "versions": machine.versions(),
        "settings": {"workers": WORKERS, "partitions": PARTITIONS},
    }


async def prepared(store: str) -> None:
    """Divide a new store, and give the sessions their first messages."""
    app, chosen = turns_app(nowhere), Settings(store=store)
    await divide(app, chosen, PARTITIONS)
    async with app.running(chosen) as running:
        await preload(running)


async def nowhere(*_: object) -> list[str]:
    raise AssertionError("no turn is done while the sessions are filled")


async def one(given: argparse.Namespace) -> dict[str, Any]:
    """Be one worker: say when it has its share, begin when told, and return what was found."""
    async with asyncio.TaskGroup() as group:
        batch = VectorBatch(await passages_index(), SPACE, Tasks(group))
        async with turns_app(batch.nearest).running(Settings(store=given.store), beside=True) as running:
            async with asyncio.timeout(SHARED_WITHIN_S):
                while len(running.engine.partitions) != PARTITIONS // WORKERS:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.02)
            mine = running.engine.partitions
            sessions = [workload.session_of(number) for number in range(workload.SESSIONS)]
            if not given.to_either:
                sessions = [each for each in sessions if partition_of("default", each, PARTITIONS) in mine]
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            plan = Plan(given.in_flight // WORKERS, given.seconds, given.warmup)
            done = await loaded(running, Options(plan), lambda number: sessions[number % len(sessions)])
            return figures_of(done)


def figures_of(done: Measured[Any]) -> dict[str, Any]:
    return {
        "turns": done.turns,
        "sent": done.turns_sent,
        "seconds": done.seconds,
        "errors": done.errors,
        "first_error": done.first_error,
        "cpu_s": done.after.cpu_s - done.before.cpu_s,
        "rss_mb": machine.rss_mb(),
        "latencies_ms": [round(each * 1000, 3) for each in done.latencies_s],
    }


if __name__ == "__main__":
    sys.exit(command())
