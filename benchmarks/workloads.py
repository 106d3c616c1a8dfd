"""What is measured: the workloads, how many are in flight, and which figures the page shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of work. `rate`: the figure that sides are compared by; `share`: of the window that is asked for."""

    name: str
    title: str
    what: str
    rate: str
    more_is_better: bool
    columns: tuple[tuple[str, str], ...]
    in_flight: tuple[int, ...]
    share: float = 1.0

    def times_as_fast(self, mine: float, theirs: float) -> float | None:
        """How many times as fast one figure is as another; None when it cannot be said."""
        if not (mine and theirs):
            return None
        return mine / theirs if self.more_is_better else theirs / mine

    def heading(self, in_flight: int) -> str:
        return self.title if len(self.in_flight) == 1 else f"{self.title}: {in_flight} in flight"


@dataclass(frozen=True, slots=True)
class Load:
    """What every side of one comparison is given."""

    workload: Workload
    in_flight: int
    seconds: float
    warmup: float


def _columns(unit: str, rate: tuple[str, str], *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (
        rate,
        *more,
        ("rss_mb", "RSS MiB"),
        (f"bytes_per_{unit}", f"bytes {'an' if unit == 'item' else 'a'} {unit}"),
    )


WORKLOADS = {
    each.name: each
    for each in (
        Workload(
            "w1",
            "W1, durable turns",
            "An event {session_id, text}; 1,000 sessions with 20 messages each; five steps, whose results are recorded: embed "
            "(256 float32 from a hash), retrieve (exact top 5 of 10,000 vectors), load the last 20 messages and build the "
            "prompt, a fixed answer in place of a model, add both messages to the session and reply. A closed loop: each "
            "client sends its next turn when the last one was answered.",
            "turns_per_s",
            True,
            _columns(
                "turn",
                ("turns_per_s", "turns/s"),
                ("p50_ms", "p50 ms"),
                ("p99_ms", "p99 ms"),
                ("cpu_ms_per_turn", "CPU ms a turn"),
            ),
            (1, 64),
        ),
        Workload(
            "w2",
            "W2, fan-out",
            "One run maps 1,000 items (fewer where 1,000 take longer than the window) over a child of two steps, 40 at once, "
            "and returns their sum.",
            "items_per_s",
            True,
            _columns(
                "item", ("items_per_s", "items/s"), ("cpu_us_per_item", "CPU us an item"), ("items", "items a run")
            ),
            (1,),
            0.5,
        ),
        Workload(
            "w3",
            "W3, empty durable step",
            "A run of 100 steps (10 at least, where 100 take longer than the window) that return a constant. The time is from "
            "the beginning of the runs to the durable result of all, divided by all their steps.",
            "us_per_step",
            False,
            _columns(
                "step", ("us_per_step", "us a step"), ("cpu_us_per_step", "CPU us a step"), ("steps", "steps a run")
            ),
            (1, 64),
            0.5,
        ),
        Workload(
            "w4",
            "W4, cold start",
            "From the start of a new process to the first durable result, on an empty store; servers are started too.",
            "cold_ms",
            False,
            (("cold_ms", "ms"),),
            (1,),
        ),
    )
}
OURS_ALONE = {
    "idle": "memory of an app that does nothing",
    "storage": "bytes on the disk over 10,000 turns of one session, as a plot",
    "flame": "a flame graph of the turn",
}
