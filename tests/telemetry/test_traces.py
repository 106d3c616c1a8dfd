"""One trace from the first event over agents, waits and restarts into steps, models and searches: by the SDK, in virtual time."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from spans_seen import Spans, id_of, links, parent, text

from penstock import App, Context, Event, Passage, Retry, WorkflowContext, testing, tool
from penstock.core.telemetry.spans import span_id_of
from penstock.testing import ScriptedModel, WritePoint
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]
DAYS_S = 3 * 24 * 3600
SECRET = "hunter2"


class Order(Event, key="customer"):
    customer: str
    note: str = ""


class Packed(Event, key="customer"):
    customer: str


class Trip(Event):
    name: str


def shop(fails=0):
    """An app with an agent that does all that can be done, and one that follows."""
    app = App("shop")
    books = app.knowledge("books")
    failures = []

    @tool(retry=Retry(attempts_max=3, delay_s=1))
    async def weigh(what: str) -> int:
        if len(failures) < fails:
            failures.append(what)
            raise ConnectionError(what)
        return 7

    @app.agent
    async def pack(order: Order, ctx: Context) -> Packed:
        with trace.get_tracer("mine", tracer_provider=app.tracer_provider).start_as_current_span("my own"):
            await ctx.step("fold", asyncio.sleep, 0)
        await ctx.step("weigh", weigh, order.note)
        await books.search(f"what {order.note} does")
        await ctx.model("writer").ask(f"Thank for {order.note}.")
        return Packed(customer=order.customer)

    @app.agent
    async def ship(packed: Packed, ctx: Context) -> None:
        ctx.emit(Trip(name=packed.customer), after_s=60)

    @app.workflow
    async def travel(trip: Trip, ctx: WorkflowContext) -> str:
        await ctx.sleep(DAYS_S)
        await ctx.step("arrive", asyncio.sleep, 0)
        tip = await ctx.wait_for("tip")
        return f"{trip.name} {tip}"

    return app


def models():
    return {"writer": ScriptedModel(["Thank you!"] * 5)}


async def test_one_trace_leads_from_the_sender_into_steps_models_and_searches():
    app = shop()
    spans = Spans(app)
    async with testing.app(app, models=models()) as live:
        await live.knowledge("books").put([Passage("a", "water"), Passage("b", "air")], consistency="strong")
        with trace.get_tracer("mine", tracer_provider=spans.provider).start_as_current_span("caller") as caller:
            await live.send(Order(customer="ada", note="water"))
        await asyncio.sleep(120)
    trace_id = caller.get_span_context().trace_id
    mine = {each.name: each for each in spans.all if each.context.trace_id == trace_id}
    (embeddings,) = [name for name in mine if name.startswith("embeddings static")]
    below = {
        "send order": "caller",
        "process pack": "send order",
        "my own": "process pack",
        "step fold": "my own",
        "execute_tool weigh": "process pack",
        "search books": "step search:books",
        embeddings: "search books",
        "query books": "search books",
        "step ask:text": "process pack",
        "process ship": "process pack",
        "invoke_workflow travel": "process ship",
    }
    for name, above in below.items():
        assert parent(mine[name]) == id_of(mine[above]), name
    (chat,) = [each for name, each in mine.items() if name.startswith("chat ")]
    assert parent(chat) == id_of(mine["step ask:text"])
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.usage.output_tokens"] >= 0
    assert mine["process pack"].kind is SpanKind.CONSUMER
    assert mine["send order"].kind is SpanKind.PRODUCER
    assert mine["process pack"].attributes["messaging.destination.name"] == "order"
    assert mine["query books"].attributes["db.collection.name"] == "books"
    assert mine["search books"].attributes["db.response.returned_rows"] == 2
    assert "process indexer" not in mine  # what was put before is another trace
    assert mine[embeddings].attributes["gen_ai.embeddings.dimension.count"] == 256


async def test_a_tools_attempts_and_a_handlings_are_linked_to_the_first_ones():
    app, seen = shop(fails=2), []

    @app.agent(retry=Retry(attempts_max=3, delay_s=1))
    async def bill(packed: Packed) -> None:
        seen.append(1)
        if len(seen) < 3:
            raise ValueError(SECRET)

    spans = Spans(app)
    async with testing.app(app, models=models()) as live:
        event_id = await live.send(Order(customer="ada", note="water"))
        await asyncio.sleep(30)
    assert len(spans.traces) == 1
    first, second, third = spans.named("execute_tool weigh")
    assert id_of(first) == span_id_of(f"{event_id}:pack/weigh#0")
    assert not links(first)
    assert links(second) == links(third) == [(first.context.trace_id, id_of(first))]
    assert first.attributes["error.type"] == "ConnectionError"
    first, second, third = spans.named("process bill")
    assert not links(first)
    assert links(second) == links(third) == [(first.context.trace_id, id_of(first))]
    assert [each.attributes["penstock.attempt"] for each in (first, second, third)] == [1, 2, 3]
    assert [each.attributes.get("error.type") for each in (first, second, third)] == ["ValueError", "ValueError", None]
    assert SECRET not in text(spans.all)


async def test_a_handling_that_is_done_again_after_a_kill_is_linked_to_what_was_killed(disk):
    app = shop()
    spans = Spans(app)
    async with testing.app(app, models=models(), disk=disk) as live, live.crash_at(WritePoint.AFTER_EFFECT):
        event_id = await live.send(Order(customer="ada", note="water"))
    killed = len(spans.all)
    async with testing.app(app, models=models(), disk=disk) as live:
        await live.settled()
    again = next(each for each in spans.all[killed:] if each.name == "process pack")
    assert len(spans.traces) == 1
    assert links(again) == [(again.context.trace_id, span_id_of(f"{event_id}:pack"))]
    assert parent(again) == id_of(spans.one("send order"))


async def test_no_span_is_open_while_a_run_waits_for_days_and_restarts(disk):
    app = shop()
    spans = Spans(app)
    async with testing.app(app, disk=disk) as live:
        run = await live.start("travel", Trip(name="ada"))
        await asyncio.sleep(60)
        began = spans.one("invoke_workflow travel")
        assert id_of(began) == span_id_of(run)
        assert began.end_time is not None
    async with testing.app(app, disk=disk) as live:
        await asyncio.sleep(DAYS_S + 60)
        (resumed,) = spans.named("resume_workflow travel")
        assert links(resumed) == [(began.context.trace_id, id_of(began))]
        waited = spans.one("wait sleep")
        assert waited.attributes["penstock.waited_ms"] > (DAYS_S - 120) * 1000
        assert parent(spans.one("step arrive")) == id_of(resumed)
        await live.signal(run, "tip", 5)
        assert await live.result(run) == "ada 5"
    ended = spans.one("end_workflow travel")
    assert ended.attributes["penstock.run.status"] == "succeeded"
    assert links(ended) == [(began.context.trace_id, id_of(began))]
    mine = [each for each in spans.all if each.context.trace_id == began.context.trace_id]
    names = {"send trip", "invoke_workflow travel", "resume_workflow travel", "end_workflow travel", "wait sleep"}
    assert {each.name for each in mine} >= names | {"step arrive", "wait wait:tip"}


async def test_a_handling_that_waits_for_a_person_goes_on_as_another_part():
    app = App("desk")

    @app.agent
    async def pay(order: Order, ctx: Context) -> str:
        approval = await ctx.approval("Pay?")
        await ctx.step("pay", asyncio.sleep, 0)
        return approval.by

    spans = Spans(app)
    async with testing.app(app) as live:
        run = await live.start("pay", Order(customer="ada"))
        await asyncio.sleep(DAYS_S)
        before = spans.one("process pay")
        (asked,) = await live.approvals()
        await live.approve(asked.id, by="cleo")
        assert await live.result(run) == "cleo"
    first, second = spans.named("process pay")
    assert first is before
    assert links(second) == [(first.context.trace_id, id_of(first))]
    assert second.attributes["penstock.part"] == 2
    assert parent(spans.one("step pay")) == id_of(second)
    assert {each.context.trace_id for each in (first, second)} == {spans.one("send order").context.trace_id}


async def test_a_batch_lies_in_the_first_trace_and_is_linked_to_the_others():
    app = App("batches")

    @app.agent(batch=10)
    async def take(orders: list[Order]) -> None:
        await asyncio.sleep(1)

    spans = Spans(app)
    async with testing.app(app) as live:
        await live.engine.send_many([Order(customer=f"c{number}") for number in range(7)])
        await live.settled()
    sent = {(each.context.trace_id, id_of(each)) for each in spans.named("send order")}
    batches = spans.named("process take")
    assert len(sent) == 7
    assert sum(each.attributes.get("messaging.batch.message_count", 1) for each in batches) == 7
    assert {(each.context.trace_id, parent(each)) for each in batches} | {
        link for each in batches for link in links(each)
    } == sent


async def test_what_a_redrive_does_is_linked_to_what_failed(disk):
    app, fails = App("shop"), [True]

    @app.agent(retry=Retry(attempts_max=1))
    async def pay(order: Order) -> str:
        if fails[0]:
            raise ValueError(SECRET)
        return "paid"

    spans = Spans(app)
    async with testing.app(app, disk=disk) as live:
        await live.send(Order(customer="ada"), id="o1")
        await live.settled()
        fails[0] = False
        (run,) = await live.redrive("o1:pay")
        assert await live.result(run) == "paid"
    failed, again = spans.named("process pay")
    assert failed.context.trace_id == again.context.trace_id
    assert links(again) == [(failed.context.trace_id, id_of(failed))]


async def test_neither_data_nor_keys_nor_texts_of_errors_leave():
    app = shop()

    @app.agent(retry=Retry(attempts_max=1))
    async def fail(packed: Packed) -> None:
        raise ValueError(packed.customer)

    spans = Spans(app)
    async with testing.app(app, models=models()) as live:
        await live.knowledge("books").put([Passage(SECRET, SECRET)], consistency="strong")
        await live.send(Order(customer=SECRET, note=SECRET), tenant=SECRET)
        await asyncio.sleep(30)
        assert spans.one("process fail").attributes["error.type"] == "ValueError"
    assert SECRET not in text(spans.all)


async def test_an_app_that_is_not_traced_passes_on_where_events_came_from():
    app = shop()
    async with testing.app(app, models=models()) as live:
        assert live.engine.services.traces is None
        await live.send(Order(customer="ada"))
        await live.settled()
        store = live.engine.parts.store
        (recorded,) = await store.read("packed", 0, after=0, limit=10)
        assert recorded.event.traceparent == ""


@pytest.mark.parametrize("kept", [0, 1])
async def test_what_is_left_out_at_the_beginning_is_left_out_to_the_end(kept):
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    app = shop()
    spans = Spans(app)
    spans.provider.sampler = ParentBased(TraceIdRatioBased(kept))
    async with testing.app(app, models=models()) as live:
        await live.send(Order(customer="ada", note="water"))
        await asyncio.sleep(120)
        (recorded,) = await live.engine.parts.store.read("trip", 0, after=0, limit=10)
        assert recorded.event.traceparent.endswith(f"-0{kept}")
    assert bool(spans.all) is bool(kept)
