"""docs/benchmarks-pipelines.md, and its pictures: what was measured, on what, and what each figure includes. Values in, text out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from document import shown
from hops_load import IN_FLIGHT, KEYS, Plan
from hops_pause import EVERY_S, GOAL_S
from hops_pause import KEYS as PAUSED_KEYS
from hops_plots import Bar, bars
from hops_sides import BROKERS, PEER, PENSTOCK, PROMISES, RAW

Figures = dict[str, Any]
BUSY = 0.25  # of the cores: above that, something else was running
NAMES = {
    "nats": "NATS JetStream",
    "kafka": "Kafka",
    "redis": "Redis Streams",
}
STORES = {"sqlite": "SQLite", "redis": "Redis", "postgres": "Postgres"}
GOALS = {"nats": 10_000, "kafka": 8_000, "redis": 6_000}
TURNS_GOAL = 1_000
PICTURES = {"rate": "pipelines-rate.svg", "latency": "pipelines-latency.svg"}

HEAD = """\
# Pipelines over brokers

Written by `make bench-pipelines`; do not edit it by hand. Three hops: an event of some 200 bytes goes into the first topic, three handlers in a row
each read one event and send the next, and it comes out of the last topic. Each side runs beside its broker on the same cores, one after the
other. One program sends and reads for all of them, over the broker, by the raw client; its time is in nobody's figures.

{processor}, {cores} cores, {memory_gib} GiB, {filesystem}, Python {python}, commit {commit}, load before {load_before}; {minutes} minutes.
"""

INCLUDES = """\
- **events/s**: whole events, through all three hops: at most {in_flight:,} are on their way at once, of {keys} keys, for {window:g} s after {warm:g} s that do not
  count. One event is three handlings and four messages.
- **CPU** is that of all processes of the side, for one event through all hops; the broker's own beside it.
- **Half**: the latencies at half of what the side itself carried; **even**: at the same pace for all. From when an event was due to be sent to when it came
  out, so that who falls behind does not hide it. Over NATS it comes out when it is published, over Kafka and Redis when it can be read.
- **lost, twice, out of order** were counted by who reads the last topic, over all of the run, with nothing killed. What happens when something
  is killed is in [chaos.md](chaos.md) and [conformance.md](conformance.md). "Twice" at a rebalance: what a worker's successor publishes once more, under
  the same id. An app of penstock knows it by that and handles it once; others who read the topic look at the id (`ce_id`).
- **penstock** runs as `penstock run`: each handling is a commit of state, progress and what it sends, durable in its store before it is sent on. Without a broker
  the client is in the same process and in its figures, and an answer is waited for that is durable.
- **FastStream** acknowledges after the broker has what was sent on. "Batches": its handlers take lists of up to 500, its quickest way over Kafka and Redis.
  Its events are pydantic models, as penstock's are. It keeps nothing.
- **By hand**: batches of up to 500, JSON by the standard library, no models, no retries, no dead letters. With transactions the latency is that of who reads
  uncommitted.
- **Durability.** NATS: file storage, a sync every two minutes as shipped. Kafka: one node, acks=all, as shipped: no sync for each message. Redis:
  appendonly, appendfsync everysec. Postgres: fsync on. SQLite: a sync for each commit (of many events). So a broker here survives the death of its process;
  for the loss of power it needs other nodes, or other settings. What a Redis that is a store loses: [decision 0052](decisions/0052-redis-as-a-store.md).
- **Not measured**: several machines, replication, TLS, large events, weeks.
"""


def summary(part: str, figures: Figures) -> str:
    """Return what a person sees while it runs."""
    if "failed" in figures:
        return f"NOT MEASURED: {figures['failed']}"
    if part == "turns":
        return f"{shown(figures['turns_per_s'])} turns/s, p99 {shown(figures['p99_ms'])} ms"
    if part == "pauses":
        return ", ".join(f"{case} {seconds:g} s" for case, seconds in figures["pauses"].items())
    half = figures["half"]
    wrong = "".join(f", {figures[name]} {name}" for name in ("lost", "doubled", "out_of_order") if figures[name])
    return (
        f"{shown(figures['events_per_s'])} events/s, {shown(figures['cpu_us'])} us, p50 {shown(half['p50_ms'])}, "
        f"p99 {shown(half['p99_ms'])} ms at {shown(half['pace'])}/s{wrong}"
    )


def page(state: Figures, plan: Plan, document: Path) -> dict[Path, str]:
    """Return the page and its pictures, each with its place."""
    on, found = state["machine"], state["found"]
    lines = [HEAD.format(**on, minutes=state["minutes"])]
    if on["load_before"] > BUSY * on["cores"]:
        lines += ["**The machine was busy: this is a trial.** Read ratios, not figures.", ""]
    lines += [
        f"**Not measured: {part}, {name}.** {each['failed']}\n"
        for part, of in found.items()
        for name, each in of.items()
        if "failed" in each
    ]
    good = {part: {name: each for name, each in of.items() if "failed" not in each} for part, of in found.items()}
    sides = list(good["pipelines"].values())
    lines += [f"![events a second by broker and side]({PICTURES['rate']})", ""]
    lines += [f"![milliseconds by broker and side]({PICTURES['latency']})", ""]
    for broker in BROKERS:
        lines += _broker_lines(broker, [each for each in sides if each["broker"] == broker], plan)
    lines += [*_alone_lines(good["alone"], plan), *_promise_lines(sides), *_turn_lines(good["turns"])]
    lines += [*_pause_lines(good["pauses"]), "## What the figures include", ""]
    lines.append(INCLUDES.format(in_flight=IN_FLIGHT, keys=KEYS, window=plan.window_s, warm=plan.warm_s))
    lines += ["## On what", "", *(f"- {name} {version}" for name, version in state.get("versions", {}).items()), ""]
    return {document: "\n".join(lines), **_pictures(sides, document.parent)}


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _best(sides: Sequence[Figures], who: str) -> float:
    return max((each["events_per_s"] for each in sides if each["who"] == who), default=0.0)


def _times(mine: float, theirs: float) -> str:
    return f"{mine / theirs:.2g}" if theirs else ""


def _paced(figures: Figures, wanted: float = 0.0) -> str:
    slower = f" (at {shown(figures['pace'])}/s)" if figures["pace"] < wanted else ""
    return f"{shown(figures['p50_ms'])}; {shown(figures['p99_ms'])}{slower}"


def _wrong(figures: Figures) -> str:
    return " / ".join(str(figures[name]) for name in ("lost", "doubled", "out_of_order"))


def _broker_lines(broker: str, sides: Sequence[Figures], plan: Plan) -> list[str]:
    if not sides:
        return []
    head = ["", "events/s", "times FastStream's best", "times by hand", "CPU us", "broker's CPU us"]
    head += ["half: pace", "p50; p99, ms", f"even ({plan.pace:g}/s): p50; p99, ms", "MB", "lost / twice / out of order"]
    lines = [f"## {NAMES[broker]}", "", _row(head), _row(["---"] * len(head))]
    peer, raw = (
        _best(sides, PEER),
        max((e["events_per_s"] for e in sides if e["who"] == RAW and "trans" not in e["title"]), default=0.0),
    )
    for each in sides:
        cells = [
            each["title"],
            shown(each["events_per_s"]),
            _times(each["events_per_s"], peer),
            _times(each["events_per_s"], raw),
        ]
        cells += [
            shown(each["cpu_us"]),
            shown(each["broker_cpu_us"]),
            shown(each["half"]["pace"]),
            _paced(each["half"]),
        ]
        lines.append(_row([*cells, _paced(each["even"], plan.pace), shown(each["rss_mb"]), _wrong(each)]))
    ours, goal = _best(sides, PENSTOCK), GOALS[broker]
    reached = "reached" if ours >= goal else "not reached"
    said = f"Goal: {goal:,} events/s on two cores with the broker on them: {reached} ({shown(ours)}; {shown(3 * ours)} handled/s)."
    return [*lines, "", said, ""]


def _alone_lines(found: dict[str, Figures], plan: Plan) -> list[str]:
    if not found:
        return []
    head = ["", "events/s", "CPU us", "half: pace", "p50; p99, ms", f"even ({plan.pace:g}/s): p50; p99, ms", "MB"]
    lines = ["## Without a broker: penstock alone", "", _row(head), _row(["---"] * len(head))]
    for store, each in found.items():
        cells = [f"penstock, {STORES[store]}", shown(each["events_per_s"]), shown(each["cpu_us"])]
        cells += [
            shown(each["half"]["pace"]),
            _paced(each["half"]),
            _paced(each["even"], plan.pace),
            shown(each["rss_mb"]),
        ]
        lines.append(_row(cells))
    return [*lines, ""]


def _promise_lines(sides: Sequence[Figures]) -> list[str]:
    head = ["", "effects", "in order for each key", "after kill -9", ""]
    lines = ["## What each promises", "", _row(head), _row(["---"] * len(head))]
    said = [each["promise"] for each in sides]
    return [*lines, *(_row([name, *PROMISES[name]]) for name in dict.fromkeys(said)), ""]


def _tier(name: str) -> str:
    """Return what a person calls "kafka+redis"."""
    *logs, store = name.split("+")
    return " + ".join([*(NAMES[each] for each in logs), STORES[store]])


def _turn_lines(found: dict[str, Figures]) -> list[str]:
    if not found:
        return []
    head = ["log + store", "turns/s", "p50; p99, ms", "CPU ms a turn", "MB", "errors"]
    what = "W1 of [benchmarks.md](benchmarks.md), 64 in flight, one process, by `penstock bench turns --log URL --store URL`: measure your own servers."
    lines = ["## Durable turns", "", what, "", _row(head), _row(["---"] * len(head))]
    for name, each in found.items():
        cells = [_tier(name), shown(each["turns_per_s"]), f"{shown(each['p50_ms'])}; {shown(each['p99_ms'])}"]
        lines.append(_row([*cells, shown(each["cpu_ms_per_turn"]), shown(each["rss_mb"]), str(each["errors"])]))
    ours = found.get("kafka+redis", {}).get("turns_per_s", 0.0)
    reached = "reached" if ours >= TURNS_GOAL else "not reached"
    return [*lines, "", f"Goal: {TURNS_GOAL:,} turns/s over Kafka and Redis: {reached} ({shown(ours)}).", ""]


def _pause_lines(found: dict[str, Figures]) -> list[str]:
    if not found:
        return []
    cases = list(next(iter(found.values()))["pauses"])
    head = ["log + store", *(f"{case}, s" for case in cases), "events", "lost / twice / out of order"]
    what = (
        f"Two workers and a steady load, {PAUSED_KEYS} keys, each sent to every {EVERY_S * 1000:.0f} ms through three hops. The longest time in which "
        "nothing of one key came out."
    )
    lines = ["## The pause of a rebalance", "", what, "", _row(head), _row(["---"] * len(head))]
    worst = 0.0
    for name, each in found.items():
        worst = max(worst, *(each["pauses"][case] for case in cases))
        seconds = [f"{each['pauses'][case]:.2f}" for case in cases]
        lines.append(_row([_tier(name), *seconds, f"{each['sent']:,}", _wrong(each)]))
    reached = "reached" if worst <= GOAL_S else "not reached"
    return [*lines, "", f"Goal: at most {GOAL_S:g} s: {reached} (the longest was {worst:.2f} s).", ""]


def _pictures(sides: Sequence[Figures], folder: Path) -> dict[Path, str]:
    def groups(bar) -> dict[str, list[Bar]]:
        of = {NAMES[broker]: [bar(each) for each in sides if each["broker"] == broker] for broker in BROKERS}
        return {name: found for name, found in of.items() if found}

    rate = groups(lambda each: Bar(each["title"], each["who"], each["events_per_s"]))
    late = groups(lambda each: Bar(each["title"], each["who"], each["half"]["p50_ms"], each["half"]["p99_ms"]))
    return {
        folder / PICTURES["rate"]: bars("Events a second, through three hops", "more is better", rate),
        folder / PICTURES["latency"]: bars(
            "Milliseconds through three hops, at half of what each carries",
            "bar: median; line: 99th percentile; the scale is logarithmic",
            late,
            logarithmic=True,
        ),
    }
