"""`penstock bench turns`: durable turns per second of one agent (workload W1), in one process.

- The five steps are: embed, retrieve, history, reason, and the end of the turn, which adds two messages to the session and
  emits the reply. The first four are `ctx.read`: they change nothing outside, so that they need not wait until what led to
  them is durable. Their results go to the journal with the next commit, and are not computed again once they are there.
  With `each_step` they are `ctx.step` instead: each waits for the record of the one before, as most engines always do.
- The reply is released after the commit of everything that it depends on (C7): the latency is from sending the event to that.
- The client is in the same process. There is no HTTP in the figures.
- With `log` the events go over a broker: the turn comes from it, and so does the reply.
"""

import asyncio
import cProfile
import json as json_text
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from urllib.parse import urlsplit

from penstock import App, Context, Event, Running
from penstock.bench import machine, workload
from penstock.bench.load import Measured, Plan, closed_loop, figures
from penstock.bench.places import Place, log_of, place_of
from penstock.bench.report import progress, table
from penstock.core.agents.retention import DEFAULT_RETENTION, Retention
from penstock.core.knowledge.passages import Passage, Space, Upsert
from penstock.core.sessions.history import SessionMessage
from penstock.errors import Finding, Invalid
from penstock.ports.vectors import VectorIndex
from penstock.runtime.process import run_tuned
from penstock.runtime.remembering import Session
from penstock.runtime.tasks import Tasks
from penstock.runtime.vector_batch import VectorBatch
from penstock.settings import Settings

SPACE = Space("passages")
IN_FLIGHT_MAX = 1024
Nearest = Callable[[bytes, int], Awaitable[list[str]]]


class Turn(Event, key="session_id"):
    """One question in a conversation."""

    session_id: str
    text: str


class Reply(Event, key="session_id"):
    """Its answer."""

    session_id: str
    text: str


class Preload(Event, key="session_id"):
    """Fill a session that is empty."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters at one edge of the window."""

    cpu_s: float
    commits: int


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured. `store`, `log`: addresses as in the settings; without a store: a new file in the working folder."""

    plan: Plan
    store: str = ""
    each_step: bool = False
    profile: Path | None = None
    bar: bool = False
    log: str = ""


def main(
    plan: Plan, *, store: str | None = None, log: str | None = None, profile: Path | None = None, json: bool = False
) -> int:
    """Measure, print a table or (as the last line) one JSON object, and return the exit code: 1 when turns failed.

    `profile`: write what cProfile saw within the window to this file; it makes everything slower.
    Raises `Invalid` for numbers out of range, and for addresses that are none.
    """
    bar = not json and sys.stderr.isatty()
    return show(run(Options(plan, store or "", profile=profile, bar=bar, log=log or "")), json=json)


def show(found: dict[str, Any], *, json: bool) -> int:
    """Print the figures, and return the exit code."""
    sys.stdout.write(f"{json_text.dumps(found)}\n" if json else table(found))
    return 1 if found["errors"] else 0


def run(options: Options) -> dict[str, Any]:
    """Measure, and return the figures by name: `report` says what each means. Raises `Invalid`."""
    _check(options.plan)
    with place_of(options.store) as place:
        found = run_tuned(_measured(options, place))
    return found | {"import_ms": machine.import_ms(), "versions": machine.versions()}


def turns_app(nearest: Nearest, *, each_step: bool = False, retention: Retention = DEFAULT_RETENTION) -> App:
    """Return the app of the workload. `nearest` returns the ids of the passages nearest to a vector."""
    app = App("turns", retention=retention)

    @app.agent
    async def turn(asked: Turn, ctx: Context) -> Reply:
        step = ctx.step if each_step else ctx.read
        vector = await step("embed", workload.embedding, asked.text)
        passages = await step("retrieve", nearest, vector, workload.TOP)
        prompt = await step("history", prompt_of, ctx.session, passages, asked.text)
        reply = await step("reason", workload.reason, prompt)
        await ctx.session.add("user", asked.text)
        await ctx.session.add("assistant", reply)
        return Reply(session_id=asked.session_id, text=reply)

    @app.agent
    async def preload(wanted: Preload, ctx: Context) -> None:
        if not await ctx.session.history(last=1):
            for role, content in workload.preloaded(wanted.session_id):
                await ctx.session.add("assistant" if role == "assistant" else "user", content)

    return app


async def prompt_of(session: Session, passages: list[str], text: str) -> str:
    """Step 3: the session's last messages, with the passages and the question."""
    messages: list[SessionMessage] = await session.history(last=workload.MESSAGES)
    return workload.prompt(((each.role, each.content) for each in messages), passages, text)


async def passages_index() -> VectorIndex:
    """Return the embedded index with the workload's passages in it."""
    from penstock.adapters.memory.passages import MemoryPassages

    index = MemoryPassages()
    vectors = workload.passage_vectors()
    await index.apply(
        [Upsert(SPACE, Passage(str(number), ""), vector.tobytes()) for number, vector in enumerate(vectors)]
    )
    return index


async def preload(running: Running) -> None:
    """Give every session its first messages, once."""
    sessions = [workload.session_of(number) for number in range(workload.SESSIONS)]
    await running.engine.send_many([Preload(session_id=each) for each in sessions])
    await running.engine.caught_up("preload")


async def _measured(options: Options, place: Place) -> dict[str, Any]:
    lasts = place.kind != "memory"
    async with log_of(options.log) as log, asyncio.TaskGroup() as group:
        chosen = Settings(store=place.url, log=log)
        batch = VectorBatch(await passages_index(), SPACE, Tasks(group))
        app = turns_app(batch.nearest, each_step=options.each_step)
        if lasts:
            async with app.running(chosen) as running:
                await preload(running)
        bytes_before = await place.kept_bytes()
        opening_s = perf_counter()
        async with app.running(chosen) as running:
            open_ms = (perf_counter() - opening_s) * 1000
            if not lasts:
                await preload(running)
            measured = await loaded(running, options)
            rss_mb = machine.rss_mb()
    grown_bytes = await place.kept_bytes() - bytes_before  # closing a file has moved its write-ahead log into it
    commits = measured.after.commits - measured.before.commits
    return figures(measured, measured.after.cpu_s - measured.before.cpu_s) | {
        "bytes_per_turn": round(grown_bytes / max(1, measured.turns_sent)),
        "commits": commits,
        "turns_per_commit": round(measured.turns / max(1, commits), 2),
        "rss_mb": rss_mb,
        "open_ms": round(open_ms, 1),
        "each_step": options.each_step,
        "store": place.kind,
        "log": urlsplit(options.log).scheme,
        "filesystem": None if place.file is None else machine.filesystem(place.file.parent),
        "first_error": measured.first_error,
    }


async def loaded(
    running: Running, options: Options, session_of: Callable[[int], str] = workload.session_of
) -> Measured[Reading]:
    """Put the load on a running app. `session_of` says which session turn n belongs to."""

    async def turn(number: int) -> str:
        asked = Turn(session_id=session_of(number), text=workload.text_of(number))
        return (await running.ask(asked, Reply)).text

    committer = running.engine.services.committer
    profiler = None if options.profile is None else cProfile.Profile()
    readings = 0

    def reading() -> Reading:
        nonlocal readings
        readings += 1  # the first one is taken before the warm-up, the others at the edges of the window
        if profiler is not None and readings > 1:
            (profiler.enable if readings == 2 else profiler.disable)()  # noqa: PLR2004 - see above
        return Reading(process_time(), committer.durable_number)

    total_s = options.plan.warmup_s + options.plan.window_s
    with progress("turns", total_s) if options.bar else nullcontext():
        measured = await closed_loop(turn, options.plan, reading, expected=workload.REPLY)
    if profiler is not None:
        profiler.dump_stats(str(options.profile))
    return measured


def _check(plan: Plan) -> None:
    rules = (
        ("in-flight", 1 <= plan.in_flight <= IN_FLIGHT_MAX, plan.in_flight, f"1 to {IN_FLIGHT_MAX}"),
        ("seconds", plan.window_s > 0, plan.window_s, "more than 0"),
        ("warmup", plan.warmup_s >= 0, plan.warmup_s, "0 or more"),
    )
    findings = tuple(Finding(name, f"is {value!r}", hint) for name, holds, value, hint in rules if not holds)
    if findings:
        raise Invalid("the benchmark", findings)
