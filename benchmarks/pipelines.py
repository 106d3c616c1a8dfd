"""`make bench-pipelines`: a pipeline of three hops over each broker, durable turns on tiers of several servers, and the pause of a rebalance.

- The servers are this machine's own (tests/services), started for the run, and ended with it. Whoever is measured runs beside its broker.
- A side that cannot be set up or run is said in the page with its reason, and the exit code is 1.
- The page is written when everything was measured, or where `--document` says. Figures are kept after each step: `--resume` goes on.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

from hops_load import CE_TYPE, Flight, Plan, measured
from hops_page import page, summary
from hops_pause import folder_of, pauses
from hops_sides import (
    BROKERS,
    FASTSTREAM,
    PENSTOCK,
    Place,
    Side,
    log_address,
    sides_of,
    started,
    store_address,
    usage,
)
from hops_wires import wire
from machine import machine
from sides import REPOSITORY, NotMeasured, fresh_folder, last_json
from sides import started as started_to_its_end

for _each in ("brokers", "postgres"):
    sys.path.insert(0, str(REPOSITORY / "tests" / "services" / _each))

from started_servers import Servers, started_servers  # noqa: E402 - after the paths

DOCUMENT = REPOSITORY / "docs" / "benchmarks-pipelines.md"
CACHE = Path(os.environ.get("PENSTOCK_BENCH_CACHE", Path.home() / ".cache" / "penstock-bench"))
PARTS = ("pipelines", "alone", "turns", "pauses")
ALONE = ("sqlite", "redis", "postgres")
TURNS = (("kafka", "redis"), ("kafka", "postgres"), ("nats", "redis"), ("", "redis"), ("", "sqlite"))
PAUSES = (("kafka", "postgres"), ("redis", "redis"))
SIDE_S_MAX = 180.0
ALONE_S_MAX = 60.0
QUICK = Plan(0.5, 1.0, 1.0)
Figures = dict[str, Any]


@dataclass
class Run:
    """What was found so far, by the name of what was measured."""

    file: Path
    on: Figures
    began_s: float
    until_s: float
    found: dict[str, dict[str, Figures]] = field(default_factory=lambda: {part: {} for part in PARTS})

    def step(self, part: str, name: str, work: Callable[[], Figures]) -> None:
        """Measure something, unless it is known or there is no time left; what goes wrong is its figure."""
        of = self.found[part]
        if name in of and "failed" not in of[name]:
            return
        began_s = monotonic()
        if began_s > self.until_s:
            of[name] = {"failed": "no time was left"}
            return
        try:
            of[name] = work()
        except (NotMeasured, LookupError, TimeoutError, OSError, subprocess.SubprocessError) as error:
            of[name] = {"failed": str(error) or type(error).__name__}
        except ExceptionGroup as several:
            of[name] = {"failed": "; ".join(str(each) for each in several.exceptions)[-400:]}
        self.save()
        _say(f"{part}: {name:44} {summary(part, of[name])}  ({monotonic() - began_s:.0f} s)")

    def save(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.state(), indent=1), encoding="utf-8")

    def state(self) -> Figures:
        minutes = round((monotonic() - self.began_s) / 60, 1)
        return {"machine": self.on, "minutes": minutes, "versions": versions(), "found": self.found}

    @property
    def failures(self) -> list[str]:
        return [name for of in self.found.values() for name, each in of.items() if "failed" in each]


def main() -> int:
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was started is ended too
    began_s = monotonic()
    run = Run(given.data / "results.json", machine(), began_s, began_s + given.minutes * 60)
    if given.resume:
        _resume(run)
    plan = QUICK if given.quick else Plan(window_s=given.seconds, paced_s=given.seconds)
    with started_servers() as servers, fresh_folder() as folder:
        _all(run, given, plan, servers, folder)
    run.save()
    if given.document is not None:
        for path, text in page(run.state(), plan, given.document).items():
            path.write_text(text, encoding="utf-8")
        _say(f"written: {given.document}")
    _say(f"{(monotonic() - began_s) / 60:.1f} minutes; figures: {run.file}")
    if given.json:
        sys.stdout.write(json.dumps(run.state()) + "\n")
    return 1 if run.failures else 0


def _all(run: Run, given: argparse.Namespace, plan: Plan, servers: Servers, folder: Path) -> None:
    place = Place(servers.address, "", folder)
    for broker in given.brokers if "pipelines" in given.parts else ():
        for number, side in enumerate(sides_of(broker)):
            own = place._replace(folder=folder_of(folder, f"{broker}-{number}"), prefix=f"b{secrets.token_hex(3)}-")
            run.step("pipelines", side.name, partial(_piped, side, own, plan, servers))
    for store in ALONE if "alone" in given.parts else ():
        own = place._replace(folder=folder_of(folder, f"alone-{store}"), prefix=f"a{secrets.token_hex(3)}-")
        run.step("alone", store, partial(_alone, store, own, plan))
    for log, store in TURNS if "turns" in given.parts else ():
        own = place._replace(folder=folder_of(folder, f"turns-{log}-{store}"), prefix=f"w{secrets.token_hex(3)}-")
        run.step("turns", f"{log}+{store}" if log else store, partial(_turns, log, store, own, plan))
    for log, store in PAUSES if "pauses" in given.parts else ():
        own = place._replace(folder=folder_of(folder, f"pauses-{log}-{store}"))
        work = partial(pauses, log, store, own, share=0.3 if given.quick else 1.0)
        run.step("pauses", f"{log}+{store}", partial(_bounded, work, SIDE_S_MAX))


def _bounded(work: Callable[[], Awaitable[Figures]], seconds: float) -> Figures:
    async def within() -> Figures:
        async with asyncio.timeout(seconds):
            return await work()

    try:
        return asyncio.run(within())
    except TimeoutError as error:
        raise NotMeasured(f"it did not end within {seconds:.0f} s") from error


def _piped(side: Side, place: Place, plan: Plan, servers: Servers) -> Figures:
    """Measure one side on its broker."""
    for name in (side.broker, *side.servers):
        servers.address(name)
    command = side.command(side.broker, place)
    return _bounded(partial(_loaded, side, place, command, plan, servers), SIDE_S_MAX)


async def _loaded(side: Side, place: Place, command: Sequence[str], plan: Plan, servers: Servers) -> Figures:
    async with wire(place.address(side.broker), place.prefix, side.form) as connection:
        await connection.make()
        with started(list(command), place.folder / "side.log") as running:
            flight = Flight(connection, CE_TYPE if side.who == PENSTOCK else "")
            try:
                used = partial(usage, running.process, servers.process(side.broker))
                found = await measured(flight, replace(plan, settle_s=side.settle_s), used)
            except NotMeasured as error:
                raise NotMeasured(f"{error}: {running.complaint()}") from error
    return found | {"broker": side.broker, "who": side.who, "title": side.title, "promise": side.promise}


def _alone(store: str, place: Place, plan: Plan) -> Figures:
    times = {"--warm": plan.warm_s, "--window": plan.window_s, "--paced": plan.paced_s, "--pace": plan.pace}
    options = [part for name, value in times.items() for part in (name, str(value))]
    script = str(REPOSITORY / "benchmarks" / "hops_alone.py")
    with started_to_its_end([sys.executable, script, store_address(store, place), *options]) as process:
        return last_json(process, ALONE_S_MAX)


def _turns(log: str, store: str, place: Place, plan: Plan) -> Figures:
    """Measure durable turns as a user would: by `penstock bench turns`."""
    where = ["--store", store_address(store, place), *(["--log", log_address(log, place)] if log else [])]
    times = ["--warmup", str(plan.warm_s), "--seconds", str(plan.window_s * 1.5)]
    command = [sys.executable, "-m", "penstock.cli", "bench", "turns", "--json", *where, *times]
    with started_to_its_end(command) as process:
        return last_json(process, ALONE_S_MAX)


def versions() -> dict[str, str]:
    """Return the versions that the figures depend on."""
    import kafka_server
    import nats_server

    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False).stdout
    locked = (FASTSTREAM / "requirements.lock").read_text(encoding="utf-8")
    servers = {"NATS": nats_server.VERSION.removeprefix("v"), "Kafka": kafka_server.VERSION}
    servers["Redis"] = redis.partition("v=")[2].partition(" ")[0] or "of its own"
    clients = {name: version(name) for name in ("nats-py", "confluent-kafka", "redis", "uvloop")}
    return servers | clients | {"FastStream": locked.partition("faststream")[2].partition("==")[2].split()[0]}


def _resume(run: Run) -> None:
    """Take over what an earlier run of this commit has found."""
    try:
        state = json.loads(run.file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if state["machine"]["commit"] != run.on["commit"]:
        _say(f"the last run was of {state['machine']['commit']}: all is measured anew")
        return
    run.found |= state["found"]
    run.on = state["machine"]
    run.began_s -= state["minutes"] * 60


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-pipelines", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--brokers", type=partial(_names, BROKERS), default=BROKERS, help=f"some of {','.join(BROKERS)}"
    )
    parser.add_argument("--parts", type=partial(_names, PARTS), default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="each window (%(default)g)")
    parser.add_argument("--minutes", type=float, default=12.0, help="what would begin later is left out (%(default)g)")
    parser.add_argument("--quick", action="store_true", help="windows of a second, to try it out; writes no page")
    parser.add_argument("--resume", action="store_true", help="go on with the last run, if it was of this commit")
    parser.add_argument("--data", type=Path, default=CACHE / "pipelines", help="where figures are kept")
    parser.add_argument("--document", type=Path, help="write the page there (default: docs, when all was measured)")
    parser.add_argument("--no-document", action="store_true", help="write no page, and no pictures")
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object, as the last line")
    given = parser.parse_args()
    if not (0.2 <= given.seconds <= 60 and given.minutes > 0):
        parser.error("give windows of 0.2 to 60 seconds, and some minutes")
    whole = not given.quick and given.brokers == BROKERS and given.parts == PARTS
    given.document = None if given.no_document else given.document or (DOCUMENT if whole else None)
    return given


def _names(known: tuple[str, ...], text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [each for each in names if each not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: give some of {','.join(known)}")
    return names


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
