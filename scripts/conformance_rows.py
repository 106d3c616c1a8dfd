"""The rows of docs/conformance.md: the command `penstock conformance` on one tier each, with servers that are started for it.

Rows on Ray are run in the network of their Ray, with servers of their own in there: Ray listens at every address, so it has a
network namespace for itself (tests/services/ray).
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
for each in ("brokers", "ray", "flink"):
    sys.path.insert(0, str(ROOT / "tests" / "services" / each))

import _pytest.outcomes
import own_process
from flink_installed import installed_flink
from ray_server import QUIET, Ray, paths_of, required_ray
from started_servers import Servers, started_servers

NOT_HERE = (_pytest.outcomes.Failed, own_process.NoServerError, OSError, subprocess.SubprocessError)
WITHIN_S = 600
KILLED_AFTER_S = WITHIN_S + 60
REASON_MAX = 300
Report = dict[str, Any]


class Tier(NamedTuple):
    """The server of the log, that of the state, and the host."""

    log: str
    store: str
    host: str = "local"

    @property
    def servers(self) -> list[str]:
        return [each for each in (self.log, self.store) if each and each != "sqlite"]


STACKS = {
    "sqlite": ("", "sqlite"),
    "postgres": ("", "postgres"),
    "kafka+sqlite": ("kafka", "sqlite"),
    "kafka+redis": ("kafka", "redis"),
    "kafka+postgres": ("kafka", "postgres"),
    "nats+postgres": ("nats", "postgres"),
    "redis+postgres": ("redis", "postgres"),
    "redis": ("redis", "redis"),
}
ON_RAY = ("sqlite", "postgres", "kafka+redis", "kafka+postgres", "nats+postgres", "redis")
TIERS = {
    **{name: Tier(*stack) for name, stack in STACKS.items()},
    **{f"{name}, ray": Tier(*STACKS[name], "ray") for name in ON_RAY},
    "kafka, flink": Tier("kafka", "", "flink"),
}


def flags(servers: Servers, tier: Tier) -> list[str]:
    """Return what the command is told of the servers of a tier."""
    given = {"--log": tier.log, "--store": tier.store}
    return [part for flag, name in given.items() if name in tier.servers for part in (flag, servers.address(name))]


def rows(names: Sequence[str], kills: int, *, ray_python: str = "") -> Iterator[tuple[str, Report]]:
    """Yield the report of each tier, or why there is none. `ray_python`: this is the network of a Ray, whose Python it is."""
    here = [each for each in names if ray_python or TIERS[each].host != "ray"]
    with started_servers() as servers:
        for name in here:
            yield name, _row(TIERS[name], servers, kills, ray_python)
        started = servers.started
    yield from _on_ray([each for each in names if each not in here], kills, started)


def _row(tier: Tier, servers: Servers, kills: int, ray_python: str) -> Report:
    python, more, environment = sys.executable, list[str](), dict[str, str]()
    try:
        if tier.host == "ray":
            python, more = ray_python, ["--host", Ray.direct]
            environment = {"PYTHONPATH": paths_of(Path(ray_python)), **QUIET}
        elif tier.host == "flink":
            flink = installed_flink()
            python, more, environment = str(flink.python), ["--host", "flink"], flink.environment
        told = flags(servers, tier)
    except (LookupError, *NOT_HERE) as error:
        return {"reason": _short(str(error))}
    command = [python, "-m", "penstock.cli", "conformance", "--json", "--kills", str(kills), "--within", str(WITHIN_S)]
    return _reported([*command, *more, *told], environment)


def _reported(command: Sequence[str], environment: dict[str, str]) -> Report:
    """Run the command, and return its report, or why there is none."""
    given = {name: value for name, value in os.environ.items() if name not in ("PENSTOCK_LOG", "PENSTOCK_STORE")}
    try:
        ended = subprocess.run(
            command,
            timeout=KILLED_AFTER_S,
            env=given | environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"it did not end within {KILLED_AFTER_S} s"}
    if ended.returncode not in (0, 1) or not ended.stdout.strip():
        said = " ".join(each.strip() for each in ended.stderr.strip().splitlines()[-2:])
        return {"reason": _short(said) or f"it ended with code {ended.returncode}"}
    try:
        return json.loads(ended.stdout[ended.stdout.index("{\n") :])  # whatever a library has printed before
    except ValueError as error:
        return {"reason": _short(f"it printed no report: {error}: {ended.stdout}")}


def _on_ray(names: Sequence[str], kills: int, installed: set[str]) -> Iterator[tuple[str, Report]]:
    """Yield the rows on Ray: this script is run in its network, and prints each when it is there."""
    left = list(names)
    if not left:
        return
    reason = "the rows on ray ended early"
    try:
        with required_ray() as ray:
            _install({server for each in names for server in TIERS[each].servers} - installed)
            tiers = [part for each in names for part in ("--tier", each)]
            script = ROOT / "scripts" / "conformance.py"
            given = ["--kills", str(kills), "--in-the-network-of-ray", ray.python, *tiers]
            command = ray.inside(sys.executable, script, *given)
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    name, report = json.loads(line)
                    left.remove(name)
                    yield name, report
            reason = f"the rows on ray ended with code {process.returncode}"
    except NOT_HERE as error:
        reason = f"no ray here: {error}"
    for name in left:
        yield name, {"reason": _short(reason)}


def _install(servers: set[str]) -> None:
    """Have servers installed that are not: in the network of Ray there is no registry to get them from."""
    for each in sorted(servers):
        with started_servers() as own, contextlib.suppress(LookupError):  # it is said again in there
            own.address(each)


def _short(text: str) -> str:
    return " ".join(text.split())[-REASON_MAX:]
