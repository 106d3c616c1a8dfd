"""`make chaos`: kill processes at every write point, have servers, networks, disks and clocks fail, and write docs/chaos.md.

make chaos                                        all of it, and the page
make chaos ARGS="--list"                          the names of its scenes
make chaos ARGS="--only faults/nats --only storm" those whose name holds one of these texts; no page is written
make chaos ARGS="--only 'points/sqlite' --kills 50 --json"

A scene that fails, hangs or cannot be tried is noted, and the others go on; the exit code is 1 then.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICES = [str(ROOT / "tests" / "services" / each) for each in ("postgres", "brokers", "proxy", "faults")]
sys.path[:0] = SERVICES

from chaos_page import Found, page
from fault_scene import ORDERS, SCENES
from fault_trial import FaultOutcome
from kafka_server import own_kafka
from made_on import commit, machine
from nats_server import own_nats
from postgres_server import postgres_server
from redis_server import started_redis

from penstock.runtime.write_points import OF_BROKERS, OF_ENGINES, WritePoint
from penstock.testing.chaos.trial import BESIDE, Outcome, Trial

PAGE = ROOT / "docs" / "chaos.md"
STORES = ("sqlite", "postgres", "redis")
BROKERS = ("kafka", "nats", "redis")
# The engine is the same over each broker: all points are tried over one, and those where the broker differs over all.
OF_EACH_BROKER = (WritePoint.BEFORE_COMMIT, WritePoint.DURING_COMMIT, WritePoint.AFTER_COMMIT, *OF_BROKERS)
TAKEOVERS = ("sqlite", "postgres", "redis")
KILLS = 5
BROKER_KILLS = 2
KILLS_MAX = 5  # of one store: an event in whose handling six processes have died is given up, as it should be
AT_ONCE = 3  # they wait for leases and servers most of the time
SCENE_S_MAX = 240.0
TOLD_MAX = 600  # characters of what a scene said that failed


@dataclass(frozen=True)
class Scene:
    """Something that is tried. `try_it` notes what came of it, or raises."""

    name: str
    try_it: Callable[[], Awaitable[str]]
    failed: Callable[[str], None]  # notes why it could not be tried


class Servers:
    """Those that many scenes share, started when the first one asks."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._starting: dict[str, asyncio.Future[str]] = {}

    async def address(self, name: str) -> str:
        """Return the address of a server."""
        if name not in self._starting:
            self._starting[name] = asyncio.ensure_future(asyncio.to_thread(self._start, name))
        return await asyncio.shield(self._starting[name])

    def _start(self, name: str) -> str:
        if name == "postgres":
            return self._stack.enter_context(postgres_server()).dsn
        folder = self._folder / f"server-{name}"
        folder.mkdir()
        server = {"kafka": own_kafka, "nats": own_nats, "redis": started_redis}[name](folder)
        assert server.process is not None
        self._stack.callback(server.process.stop)
        self._stack.callback(server.process.kill)
        return server.address


class Chaos:
    """All scenes, and what came of them."""

    def __init__(self, chosen: argparse.Namespace, folder: Path, servers: Servers) -> None:
        self._chosen = chosen
        self._folder = folder
        self._servers = servers
        self.found = Found()
        self._rows: dict[str, dict[str, Outcome]] = {}

    def scenes(self) -> list[Scene]:
        """Return those that are asked for, the longest first."""
        every = [
            *(self._fault(place, fault) for place, fault in sorted(SCENES, key=lambda each: each[1] not in LONG)),
            *(self._point(f"{each}+sqlite", point) for each in BROKERS for point in points_over(each)),
            *(self._point(store, point) for store in STORES for point in OF_ENGINES),
        ]
        return [each for each in every if self._is_wanted(each.name)]

    def measurements(self) -> list[Scene]:
        """Return what is measured alone, when all else is over."""
        return [each for each in map(self._takeover, TAKEOVERS) if self._is_wanted(each.name)]

    def _is_wanted(self, name: str) -> bool:
        return not self._chosen.only or any(each in name for each in self._chosen.only)

    def _point(self, place: str, point: WritePoint) -> Scene:
        async def tried() -> str:
            over, _, _ = place.partition("+")
            kills = self._chosen.broker_kills if "+" in place else self._chosen.kills
            some = [min(KILLS_MAX, kills - done) for done in range(0, kills, KILLS_MAX)]
            outcomes = [
                await (await self._trial(place, over, point, seed, each)).outcome() for seed, each in enumerate(some)
            ]
            outcome = sum(outcomes[1:], outcomes[0])
            self._rows.setdefault(place, {})[point.value] = outcome
            return (
                f"{outcome.kills} kills, {outcome.lost} lost, {outcome.duplicated} duplicated, "
                f"{outcome.out_of_order} out of order{told(outcome.findings)}"
            )

        def failed(why: str) -> None:
            self._rows.setdefault(place, {})[point.value] = Outcome(point.value, findings=[why])

        return Scene(f"points/{place}/{point.value}", tried, failed)

    async def _trial(self, place: str, over: str, point: WritePoint, seed: int, kills: int) -> Trial:
        name = f"{point.name.lower()}_{seed}"
        folder = self._folder / place / name
        folder.mkdir(parents=True)
        store, log = f"sqlite:{folder}/shop.db", ""
        if "+" in place:
            log = f"{await self._servers.address(over)}?partitions=4&prefix={name}-"
        elif place == "postgres":
            dsn = await self._servers.address(place)
            store = f"{dsn}{'&' if '?' in dsn else '?'}schema=chaos_{name}_{secrets.token_hex(3)}"
        elif place == "redis":
            store = f"{await self._servers.address(place)}?prefix=chaos_{name}"
        return Trial(point, store, folder / "outside", kills, seed=seed, log=log)

    def _fault(self, place: str, fault: str) -> Scene:
        async def tried() -> str:
            folder = self._folder / f"fault-{place}-{fault}".replace(" ", "-").replace(",", "")
            folder.mkdir()
            script = str(Path(SERVICES[-1]) / "fault_scene.py")
            said = await in_a_process(folder, script, place, fault, str(folder), str(self._chosen.orders))
            said.pop("holds")
            outcome = FaultOutcome(**said)
            self.found.faults.append(outcome)
            if outcome.untried:
                return f"NOT TRIED: {outcome.untried}"
            return (
                f"{outcome.orders} orders, {outcome.lost} lost, {outcome.doubled} doubled, {outcome.out_of_order} out of order, "
                f"{outcome.repeated} repeated, pause {outcome.pause_s} s{told(outcome.findings)}"
            )

        def failed(why: str) -> None:
            self.found.faults.append(FaultOutcome(place, fault, findings=[why]))

        return Scene(f"faults/{place}/{fault}", tried, failed)

    def _takeover(self, store: str) -> Scene:
        async def tried() -> str:
            folder = self._folder / f"takeover-{store}"
            folder.mkdir()
            script = str(ROOT / "scripts" / "takeover.py")
            said = await in_a_process(folder, script, "--store", store, "--rounds", str(self._chosen.rounds), "--json")
            rounds: list[dict[str, Any]] = said["rounds"]
            row = {
                "store": store,
                "rounds": len(rounds),
                "median_s": said["median_s"],
                "longest_s": max(each["takeover_s"] for each in rounds),
                "once_in_order": all(each["once_in_order"] for each in rounds),
                "holds": said["holds"],
            }
            self.found.takeovers.append(row)
            return f"median {row['median_s']:.2f} s, longest {row['longest_s']:.2f} s"

        def failed(why: str) -> None:
            row = {
                "store": store,
                "rounds": 0,
                "median_s": 0.0,
                "longest_s": 0.0,
                "once_in_order": False,
                "holds": False,
            }
            self.found.takeovers.append({**row, "finding": why})

        return Scene(f"takeover/{store}", tried, failed)

    def ended(self, seconds: float) -> Found:
        """Put what was found into the order of the page."""
        order = {each.value: number for number, each in enumerate(WritePoint)}
        places = [*STORES, *(f"{each}+sqlite" for each in BROKERS)]
        for place in [each for each in places if each in self._rows]:
            self.found.points[place] = sorted(self._rows[place].values(), key=lambda row: order[row.point])
        self.found.faults.sort(key=lambda each: SCENES.index((each.place, each.fault)))
        self.found.seconds = seconds
        return self.found


LONG = ("storm", "deadly poison", "node lost", "clock set", "disk full")


def points_over(broker: str) -> Sequence[WritePoint]:
    """Return the write points that are tried over a broker."""
    return BESIDE if broker == "redis" else [each for each in BESIDE if each in OF_EACH_BROKER]


def told(findings: Sequence[str]) -> str:
    return "".join(f"; {each}" for each in findings)


async def in_a_process(folder: Path, *command: str) -> dict[str, Any]:
    """Run a script for a bounded time, and return the JSON on its last line; what fails is raised with what it said."""
    errors = folder / "stderr.txt"
    paths = os.pathsep.join(SERVICES)
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(SCENE_S_MAX):
            output, _ = await process.communicate()
    except TimeoutError:
        raise RuntimeError(f"it took longer than {SCENE_S_MAX:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own: it, and the servers that it started
            await process.wait()
    lines = output.decode().strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise RuntimeError(f"it ended with {process.returncode}: {errors.read_text(errors='replace')[-TOLD_MAX:]}")
    return json.loads(lines[-1])


async def run_all(chaos: Chaos) -> None:
    """Try all scenes, some at once; then measure."""
    scenes, alone = chaos.scenes(), chaos.measurements()
    count, done, began = len(scenes) + len(alone), 0, perf_counter()
    places = asyncio.Semaphore(AT_ONCE)

    async def one(scene: Scene) -> None:
        nonlocal done
        started = perf_counter()
        try:
            said = await scene.try_it()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            # The page names no place on this machine.
            said = f"FAILED: {type(error).__name__}: {error}".replace(f"{ROOT}{os.sep}", "")
            scene.failed(said.removeprefix("FAILED: "))
            if not isinstance(error, RuntimeError):
                traceback.print_exc()
        done += 1
        took, since = perf_counter() - started, perf_counter() - began
        print(f"[{done}/{count} {since:4.0f} s] {scene.name}: {said} ({took:.0f} s)", file=sys.stderr, flush=True)

    async def in_turn(scene: Scene) -> None:
        async with places:
            await one(scene)

    await asyncio.gather(*map(in_turn, scenes))
    for each in alone:
        await one(each)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="scenes whose name holds this text; again for more"
    )
    parser.add_argument("--kills", type=int, default=KILLS, help=f"kills per write point and store ({KILLS})")
    parser.add_argument(
        "--broker-kills", type=int, default=BROKER_KILLS, help=f"kills per write point and broker ({BROKER_KILLS})"
    )
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"orders of a fault, at least ({ORDERS})")
    parser.add_argument("--rounds", type=int, default=2, help="takeovers of each store (2)")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON, and write no page")
    parser.add_argument("--keep", type=Path, help="a folder in which to leave what the scenes wrote, logs and all")
    parser.add_argument("--list", action="store_true", help="print the names of the scenes")
    return parser.parse_args()


def main() -> int:
    chosen = arguments()
    with ExitStack() as stack:
        if chosen.keep:
            chosen.keep.mkdir(parents=True)
            folder = chosen.keep.resolve()
        else:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-chaos-", ignore_cleanup_errors=True))
            )
        chaos = Chaos(chosen, folder, Servers(folder, stack))
        if chosen.list:
            print(*(each.name for each in [*chaos.scenes(), *chaos.measurements()]), sep="\n")
            return 0
        began = perf_counter()
        asyncio.run(run_all(chaos))
        found = chaos.ended(perf_counter() - began)
    if chosen.json:
        print(json.dumps({"machine": machine(), "commit": commit(), "holds": found.holds, **asdict(found)}, indent=2))
    else:
        text = page(found)
        print(text)
        if not chosen.only:
            PAGE.write_text(text, encoding="utf-8")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
