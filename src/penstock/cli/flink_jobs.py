"""Making, running and writing jobs of Flink."""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.brokers import partitions_of
from penstock.cli.loading import load, loaded_app
from penstock.errors import Finding, Invalid
from penstock.flink.beginning import UNDER_WAY_MAX
from penstock.flink.carrying import require_carried
from penstock.flink.plan import JobOptions, JobPlan, plan_of
from penstock.settings import settings
from penstock.tracers import require_traceable

if TYPE_CHECKING:
    from penstock.cli.flink_watching import WatchedJob

JOB_FILE = '''"""The agents of the app {app!r} as a job of Flink, written by `penstock flink build`.

Submit it, where penstock and apache-flink are installed, with PENSTOCK_LOG=kafka://HOST:PORT set:

    flink run -py {name} -pyfs {file} -j {connector}

Each worker needs penstock and what the app imports: -pyexec PYTHON, or -pyarch VENV.zip -pyexec VENV.zip/bin/python.
"""

from penstock.cli.flink_jobs import submit

submit(
    {file!r},
    {settings},
    {options},
)
'''
NOT_ON_FLINK = {
    "store": "leave it out: Flink keeps what agents remember",
    "workers": "leave it out: --parallelism says how many subtasks there are",
    "streams": "leave it out; for the streams alone: penstock flink run --streams",
}
CONNECTOR = "flink-sql-connector-kafka-5.0.0-2.2.jar"


def planned(file: Path, flags: Mapping[str, str | None], options: JobOptions) -> JobPlan:
    """Return the plan of the job of the app in a file; `Invalid` with all findings."""
    return plan_of(loaded_app(file).declared, file, settings(flags), options)


def run_file(file: Path, flags: Mapping[str, str | None], options: JobOptions, metrics: str | None = None) -> None:
    """Run the app in a file as a job, until it is stopped. `metrics`: where this process says how the job does."""
    chosen, plan = settings(flags), planned(file, flags, options)
    require_traceable()  # what is wrong with it is said here, and not by machines of the cluster
    with ExitStack() as stack:
        watched = None if metrics is None else stack.enter_context(_watched(plan.app, metrics))
        from penstock.flink.running import make_topics, run_job

        asyncio.run(make_topics(chosen.log, plan, partitions_of(chosen.log)))
        run_job(plan, load, _tell, chosen.log, seen=None if watched is None else watched.show)


def _tell(text: str) -> None:
    print(f"penstock: {text}", file=sys.stderr, flush=True)


def _watched(app: str, metrics: str) -> AbstractContextManager["WatchedJob"]:
    from penstock.cli.flink_watching import watching_job
    from penstock.cli.watching import watch_door

    return watching_job(app, watch_door(metrics))


def run_hosted(
    host: str,
    file: Path,
    flags: Mapping[str, str | None],
    chosen: tuple[int, str, int],
    metrics: str | None = None,
) -> None:
    """Run the app in a file where `host` says; `chosen`: parallelism, checkpoints, and how often they are made."""
    findings = [] if host == "flink" else [Finding("--host", f"is {host!r}", "flink")]
    findings += [
        Finding(f"--{name}", "is given with --host flink", hint)
        for name, hint in NOT_ON_FLINK.items()
        if flags.get(name) is not None
    ]
    if findings:
        raise Invalid("the command", tuple(findings))
    parallelism, checkpoints, every_ms = chosen
    options = JobOptions(parallelism=parallelism, checkpoints=checkpoints, checkpoint_every_ms=every_ms)
    run_file(file, {name: value for name, value in flags.items() if name not in NOT_ON_FLINK}, options, metrics)


def submit(file: str, flags: Mapping[str, str | None], options: Mapping[str, Any]) -> None:
    """Submit the app in a file to the cluster that this process was given: what job files call."""
    from penstock.flink.job import built
    from penstock.flink.operators import found_file
    from penstock.flink.running import make_topics

    path, chosen = found_file(file), settings(flags)
    plan = planned(path, flags, msgspec.convert(dict(options), JobOptions))
    asyncio.run(make_topics(chosen.log, plan, partitions_of(chosen.log)))
    built(plan, load).execute(plan.app)


def write_job(plan: JobPlan, flags: Mapping[str, str | None], out: Path) -> None:
    """Write a job file. The address of Kafka, which may hold a password, is not in it."""
    told = {name: value for name, value in flags.items() if value is not None and name != "log"}
    text = JOB_FILE.format(
        app=plan.app,
        name=out.name,
        file=Path(plan.file).name,
        connector=CONNECTOR,
        settings=told,
        options=asdict(plan.options),
    )
    try:
        out.write_text(text)
    except OSError as error:
        hint = "give the path of a file in a folder that there is"
        raise Invalid("the command", (Finding("--out", str(error), hint),)) from error
    print(f"penstock: {out} is written; it says how it is submitted", file=sys.stderr)


def checked(file: Path, *, streams: bool, as_json: bool) -> int:
    """Say what of an app a job cannot carry, and return the exit code: 1 when there is anything."""
    findings: tuple[Finding, ...] = ()
    app = loaded_app(file)
    try:
        require_carried(JobOptions(streams=streams).carried(app.declared))
    except Invalid as error:
        findings = error.findings
    if as_json:
        print(json.dumps([asdict(each) for each in findings]))
    else:
        at_once = f"{UNDER_WAY_MAX} events at once in each subtask"
        what = f"the streams of {app.name!r}" if streams else f"all of {app.name!r}"
        print("\n".join(map(str, findings)) or f"a job on Flink carries {what}, {at_once}")
    return 1 if findings else 0
