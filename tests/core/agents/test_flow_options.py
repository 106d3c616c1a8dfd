"""What is wrong with a flow is said when the agent is declared, all of it at once."""

import pytest

from penstock import App, Concurrency, Event, Flow, Rate
from penstock.core.agents.declaration import declared
from penstock.core.agents.flow import rank_of
from penstock.errors import Invalid


class Job(Event, key="customer"):
    customer: str
    urgency: int = 0
    note: str = ""


async def work(job: Job) -> None: ...


async def work_on_many(jobs: list[Job]) -> None: ...


def findings_of(flow, handler=work, **options):
    with pytest.raises(Invalid) as refusal:
        declared(handler, "worker", {"flow": flow, **options})
    assert all(finding.hint for finding in refusal.value.findings)
    return [finding.path for finding in refusal.value.findings]


@pytest.mark.parametrize(
    ("flow", "paths"),
    [
        (7, ["flow"]),
        (Flow(concurrency=0), ["flow.concurrency"]),
        (Flow(concurrency=True), ["flow.concurrency"]),
        (Flow(concurrency=(3, Concurrency(0))), ["flow.concurrency[0]", "flow.concurrency[1]"]),
        (Flow(concurrency=Concurrency(1, scope="galaxy")), ["flow.concurrency.scope"]),
        (Flow(rate=10), ["flow.rate"]),
        (Flow(rate=Rate(0, per_s=0, burst=-1)), ["flow.rate.count", "flow.rate.burst", "flow.rate.per_s"]),
        (Flow(rate=Rate(1, per_s=float("nan"))), ["flow.rate.per_s"]),
        (Flow(aging_s=-1, debounce_s="2", when_busy="wait"), ["flow.aging_s", "flow.debounce_s", "flow.when_busy"]),
        (Flow(debounce_s=2, debounce_max_s=1), ["flow.debounce_max_s"]),
        (Flow(priority="note"), ["flow.priority"]),
        (Flow(priority="price", rate=Rate(1, by="color")), ["flow.priority", "flow.rate.by"]),
        (Flow(concurrency=Concurrency(1, by="color")), ["flow.concurrency.by"]),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(flow, paths):
    assert findings_of(flow) == paths


def test_all_findings_come_together():
    flow = Flow(concurrency=0, when_busy="wait")
    assert findings_of(flow, timeout_s=0, retires=1) == ["retires", "timeout_s", "flow.concurrency", "flow.when_busy"]


def test_a_batch_agent_has_no_flow():
    assert findings_of(Flow(), work_on_many, batch=5) == ["flow"]


@pytest.mark.parametrize("annotation", [int, int | None], ids=str)
def test_a_priority_is_a_whole_number(annotation):
    kind = type("Ranked", (Event,), {"__annotations__": {"rank": annotation}, "__module__": __name__})

    async def handle(event) -> None: ...

    handle.__annotations__["event"] = kind
    assert declared(handle, "worker", {"flow": Flow(priority="rank")}).options.flow is not None


def test_an_app_takes_it():
    app = App("flowing")
    app.agent(flow=Flow(concurrency=3, rate=Rate(10), priority="urgency"))(work)
    assert app.agents["work"].options.flow.concurrencies == (Concurrency(3),)


def test_a_priority_is_worth_time_and_bounded():
    assert rank_of(100_000, 2, 10) == rank_of(80_000, 0, 10)
    assert rank_of(0, 99, 10) == rank_of(0, 9, 10)
    assert rank_of(0, -5, 10) == rank_of(0, None, 10) == 0
