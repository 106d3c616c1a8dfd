"""Parallel and Map: threads side by side, and what becomes of their outputs."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from penstock.core.asl import definition as asl
from penstock.core.asl.amounts import number, within
from penstock.core.asl.events import tell
from penstock.core.asl.failing import fail, go_on
from penstock.core.asl.happenings import ReadItems, WriteResults
from penstock.core.asl.history import History
from penstock.core.asl.items import Item, Member, items_in, items_of
from penstock.core.asl.run import Failure, Fan, Run, Thread, Work
from penstock.core.asl.scope import Scope, SeededChance
from penstock.core.asl.threads import begin_work, end_work, give_up_children, iteration, leave, scope_of
from penstock.core.asl.values import Json

INLINE_AT_ONCE: Final = 40
DISTRIBUTED_AT_ONCE: Final = 10_000
PERCENT_MAX: Final = 100
READER_FAILED: Final = "States.ItemReaderFailed"
WRITER_FAILED: Final = "States.ResultWriterFailed"
EXCEEDED: Final = Failure(
    "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
)
_Input = tuple[Json, dict[str, Any]]


def begin_parallel(run: Run, thread: Thread) -> None:
    """Start the branches of the present state."""
    step = thread.step
    payload = step.flow.payload(scope_of(run, thread), thread.effective)
    tell(run, thread, "ParallelStateStarted")
    fan = thread.work = Fan(thread, len(step.branches), len(step.branches))
    fan.next_index = fan.running = fan.total
    for index, branch in enumerate(step.branches):
        child = Thread(branch, payload, thread.variables, thread.history, thread.last)
        child.context = {key: value for key, value in thread.context.items() if key == "Map"}
        _adopt(run, fan, child, index)
    if not step.branches:
        leave(run, thread, step.flow, [], step.next)


def begin_map(run: Run, thread: Thread) -> None:
    """Start a Map: find its items, or have them read."""
    state, step = _map(thread), thread.step
    if state.item_reader is not None:
        _read(run, thread, state.item_reader)
        return
    items = items_of(step, scope_of(run, thread), thread.effective)
    tell(run, thread, "MapStateStarted", {"length": len(items)})
    _start(run, thread, items)


def items_read(run: Run, work: Work, output: Json) -> None:
    """What was to be read is there."""
    thread = work.thread
    end_work(run, work)
    if not isinstance(output, list | dict):
        reading_failed(run, work, Failure(READER_FAILED, "Attempting to map over non-iterable node."))
        return
    _start(run, thread, items_in(output))


def reading_failed(run: Run, work: Work, failure: Failure) -> None:
    thread = work.thread
    if thread.work is work:
        end_work(run, work)
    arn = _map_run(run, thread)
    tell(run, thread, "MapRunStarted", {"mapRunArn": arn})
    failure = Failure(READER_FAILED, failure.cause, (failure.error,) if failure.error else ())
    tell(run, thread, "MapRunFailed", {"error": failure.error, "cause": failure.cause})
    fail(run, thread, failure)


def results_written(run: Run, work: Work, output: Json) -> None:
    thread = work.thread
    end_work(run, work)
    _map_succeeded(run, thread, output)


def writing_failed(run: Run, work: Work, failure: Failure) -> None:
    thread = work.thread
    end_work(run, work)
    fail(run, thread, Failure(WRITER_FAILED, failure.cause, (failure.error,) if failure.error else ()))


def child_ended(run: Run, child: Thread, output: Json) -> None:
    """A branch or an iteration has ended well."""
    fan = child.owner
    assert fan is not None, "the run's own thread has no owner"
    fan.outputs[child.index] = output
    _left(run, fan, child, "MapIterationSucceeded")


def child_failed(run: Run, child: Thread, failure: Failure) -> None:
    """A branch or an iteration has failed, and nothing in it caught that."""
    fan = child.owner
    assert fan is not None, "the run's own thread has no owner"
    child.over = True
    if fan.map_run:
        fan.failures += 1
        if fan.failures <= fan.failures_max:
            go_on(run)
            fan.outputs[child.index] = {"Error": failure.error, "Cause": failure.cause}
            _left(run, fan, child, "")
            return
        give_up_children(run, fan, told=False)
        exceeded = failure if fan.failures_max == 0 and failure.is_fatal else EXCEEDED
        tell(run, fan.thread, "MapRunFailed", {"error": exceeded.error, "cause": exceeded.cause})
        failure = Failure(exceeded.error, exceeded.cause)
    else:
        if isinstance(fan.thread.step.state, asl.Map):
            tell(run, child, "MapIterationFailed", iteration(child))
        del fan.children[child.index]
        fan.thread.last = child.last
        give_up_children(run, fan, told=True)
    fan.thread.work = None
    fail(run, fan.thread, failure)


def _map(thread: Thread) -> asl.Map:
    assert isinstance(thread.step.state, asl.Map), thread.step
    return thread.step.state


def _read(run: Run, thread: Thread, reader: asl.ItemReader) -> None:
    step, scope = thread.step, scope_of(run, thread).over(thread.effective)
    payload = step.templates["ItemReader"].evaluate(scope) if "ItemReader" in step.templates else None
    items_max = number(step.amounts.get("max_items"), scope)
    tell(run, thread, "MapStateStarted", {"length": 0})
    work = begin_work(run, thread, "read")
    run.commands.append(
        ReadItems(
            id=work.id,
            resource=reader.resource,
            payload=payload,
            config=reader.reader_config or asl.ReaderConfig(),
            items_max=None if items_max is None else int(items_max),
        )
    )


class Plan(NamedTuple):
    """How a Map is about to go through its items: what its fields say at this moment."""

    max_concurrency: int  # 0: as many as may be
    tolerated_count: int | None
    tolerated_percentage: float | None
    inputs: Iterator[_Input]  # of each item, before they are put into batches

    def failures_max(self, total: int) -> int:
        """Return how many children of so many may fail."""
        return max(self.tolerated_count or 0, int(total * (self.tolerated_percentage or 0) / PERCENT_MAX))


def planned(run: Run, thread: Thread, items: list[Item]) -> Plan:
    """Evaluate the fields of a Map that say how its items are gone through."""
    step, scope = thread.step, scope_of(run, thread)
    seen = scope.over(thread.effective)
    at_once = int(number(step.amounts.get("max_concurrency"), seen) or 0)
    inputs = _selected(thread, scope, items)
    if not _map(thread).distributed:
        return Plan(at_once, None, None, inputs)
    count = number(step.amounts.get("tolerated_failure_count"), seen)
    percent = number(step.amounts.get("tolerated_failure_percentage"), seen, whole=False)
    within("ToleratedFailurePercentage", percent or 0, 0, PERCENT_MAX)
    return Plan(at_once, None if count is None else int(count), percent, inputs)


def _start(run: Run, thread: Thread, items: list[Item]) -> None:
    state = _map(thread)
    plan = planned(run, thread, items)
    limit = DISTRIBUTED_AT_ONCE if state.distributed else INLINE_AT_ONCE
    at_once = min(plan.max_concurrency or limit, limit)
    if state.distributed:
        inputs = list(plan.inputs)
        ready = inputs if state.item_batcher is None else batches(run, thread, inputs)
        fan = thread.work = Fan(thread, len(ready), at_once)
        fan.inputs, fan.failures_max = iter(ready), plan.failures_max(len(ready))
        fan.map_run = _map_run(run, thread)
        tell(run, thread, "MapRunStarted", {"mapRunArn": fan.map_run})
    else:
        fan = thread.work = Fan(thread, len(items), at_once)
        fan.inputs = plan.inputs
    _fill(run, fan)


def _map_run(run: Run, thread: Thread) -> str:
    label = _map(thread).label or thread.step.name
    machine = run.base["StateMachine"]["Id"].replace(":stateMachine:", ":mapRun:")
    return f"{machine}/{label}:{SeededChance(f'{run.name}/{run.number}/{thread.entered}').uuid()}"


def _selected(thread: Thread, scope: Scope, items: list[Item]) -> Iterator[_Input]:
    """Yield the input of each item, and what `$$.Map` is for it."""
    selector = thread.step.templates.get("ItemSelector")
    seen = scope.over(thread.effective)
    for index, item in enumerate(items):
        given: Json = {"Key": item.key, "Value": item.value} if isinstance(item, Member) else item
        about = {"Index": index, **(given if isinstance(given, dict) and isinstance(item, Member) else {"Value": item})}
        context: dict[str, Any] = {"Map": {"Item": about}}
        if selector is not None:
            given = selector.evaluate(seen.within(context))
        yield given, context


def batches(run: Run, thread: Thread, inputs: list[_Input]) -> list[_Input]:
    """Put several items into the input of one child, up to a number and a size."""
    step, scope = thread.step, scope_of(run, thread).over(thread.effective)
    most = number(step.amounts.get("max_items_per_batch"), scope) or len(inputs)
    bytes_max = number(step.amounts.get("max_input_bytes_per_batch"), scope) or float("inf")
    fixed: dict[str, Json] = {}
    if "ItemBatcher.BatchInput" in step.templates:
        fixed["BatchInput"] = step.templates["ItemBatcher.BatchInput"].evaluate(scope)
    filled: list[list[Json]] = []
    size = 0
    for given, _ in inputs:
        item_bytes = len(msgspec.json.encode(given))
        if not filled or len(filled[-1]) >= most or size + item_bytes > bytes_max:
            filled.append([])
            size = 0
        filled[-1].append(given)
        size += item_bytes
    return [({**fixed, "Items": batch}, {}) for batch in filled]


def _fill(run: Run, fan: Fan) -> None:
    """Start as many iterations as may run at once; end the Map when there is none left."""
    thread = fan.thread
    while fan.running < fan.at_once and fan.next_index < fan.total:
        given, context = next(fan.inputs)
        index = fan.next_index
        fan.next_index += 1
        fan.running += 1
        child = _iteration(thread, given, context, apart=bool(fan.map_run))
        child.owner, child.index = fan, index
        if not fan.map_run:
            tell(run, child, "MapIterationStarted", iteration(child))
        _adopt(run, fan, child, index)
    if not fan.running:
        _all_ended(run, fan)


def _iteration(thread: Thread, given: Json, context: dict[str, Any], *, apart: bool) -> Thread:
    program = thread.step.branches[0]
    if apart:  # a run of its own: it sees no variables from outside, and its history is its own
        child = Thread(program, given, {}, History(), 0)
    else:
        child = Thread(program, given, thread.variables, thread.history, thread.last)
    child.context = dict(context)
    return child


def _adopt(run: Run, fan: Fan, child: Thread, index: int) -> None:
    child.owner, child.index = fan, index
    fan.children[index] = child
    run.queue.append(("enter", child, None))


def _left(run: Run, fan: Fan, child: Thread, told: str) -> None:
    thread = fan.thread
    child.over = True
    del fan.children[child.index]
    fan.running -= 1
    if not isinstance(thread.step.state, asl.Map):
        thread.last = child.last
        if not fan.running:
            leave(run, thread, thread.step.flow, fan.outputs, thread.step.next)
        return
    if not fan.map_run:
        tell(run, child, told, iteration(child))
        thread.last = child.last
    _fill(run, fan)


def _all_ended(run: Run, fan: Fan) -> None:
    thread = fan.thread
    state = _map(thread)
    if fan.map_run:
        tell(run, thread, "MapRunSucceeded")
    if state.result_writer is None or state.result_writer.resource is None:
        _map_succeeded(run, thread, fan.outputs)
        return
    writer, step = state.result_writer, thread.step
    payload = step.templates["ResultWriter"].evaluate(scope_of(run, thread).over(thread.effective))
    work = begin_work(run, thread, "write")
    run.commands.append(
        WriteResults(
            id=work.id,
            resource=state.result_writer.resource,
            payload=payload,
            config=writer.writer_config,
            map_run=fan.map_run,
            results=fan.outputs,
        )
    )


def _map_succeeded(run: Run, thread: Thread, output: Json) -> None:
    tell(run, thread, "MapStateSucceeded")
    leave(run, thread, thread.step.flow, output, thread.step.next)
