"""Parallel and Map: threads side by side, and what becomes of their outputs."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from penstock.core.asl import definition as asl
from penstock.core.asl.amounts import number, within
from penstock.core.asl.events import tell
from penstock.core.asl.failing import fail, go_on
from penstock.core.asl.failures import RUNTIME, EvaluationFailed
from penstock.core.asl.history import History
from penstock.core.asl.items import Item, Member, items_in, items_of
from penstock.core.asl.map_data import (
    READER_FAILED,
    begin_reading,
    begin_telling,
    begin_writing,
    exports,
    map_of,
    map_run_arn,
    map_run_failed,
    reading_failed,
    shaped_output,
    told_begun,
    told_ended,
    told_failed,
)
from penstock.core.asl.run import Failure, Fan, Run, Thread, Work
from penstock.core.asl.scope import Scope
from penstock.core.asl.threads import end_work, give_up_children, iteration, leave, scope_of
from penstock.core.asl.values import Json

INLINE_AT_ONCE: Final = 40
DISTRIBUTED_AT_ONCE: Final = 10_000
PERCENT_MAX: Final = 100
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
    reader = map_of(thread).item_reader
    at_once(run, thread)  # before the items are looked for, as AWS does
    if reader is None:
        items = items_of(thread.step, scope_of(run, thread), thread.effective)
        tell(run, thread, "MapStateStarted", {"length": len(items)})
        _start(run, thread, items)
    else:
        tell(run, thread, "MapStateStarted", {"length": 0})
        tolerated(run, thread)  # what is wrong with it is told before anything is read
        begin_reading(run, thread, reader)


def items_read(run: Run, work: Work, output: Json) -> None:
    """What was to be read is there."""
    thread = work.thread
    end_work(run, work)
    if not isinstance(output, list | dict):
        reading_failed(run, thread, Failure(READER_FAILED, "Attempting to map over non-iterable node."))
        return
    _start(run, thread, items_in(output))


def results_written(run: Run, work: Work, output: Json) -> None:
    """The results of a Map are where they should be; what it gives is where that is."""
    thread = work.thread
    end_work(run, work)
    if work.failure is not None:
        map_run_failed(run, thread, work.failure)
        return
    tell(run, thread, "MapRunSucceeded")
    _map_succeeded(run, thread, output)


def child_ended(run: Run, child: Thread, output: Json) -> None:
    """A branch or an iteration has ended well."""
    fan = child.owner
    assert fan is not None, "the run's own thread has no owner"
    fan.outputs[child.index] = output
    told_ended(run, fan, child.index, output)
    _left(run, fan, child, "MapIterationSucceeded")


def child_failed(run: Run, child: Thread, failure: Failure) -> None:
    """A branch or an iteration has failed, and nothing in it caught that."""
    fan = child.owner
    assert fan is not None, "the run's own thread has no owner"
    child.over = True
    if fan.map_run:
        fan.failures += 1
        told_failed(run, fan, child.index, failure)
        if fan.failures <= fan.failures_max:
            go_on(run)
            fan.outputs[child.index] = failure.output
            _left(run, fan, child, "")
            return
        give_up_children(run, fan, told=False)
        exceeded = failure if fan.failures_max == 0 and failure.is_fatal else EXCEEDED
        fan.thread.work = None
        if exports(fan):
            begin_writing(run, fan, exceeded)
        else:
            map_run_failed(run, fan.thread, exceeded)
        return
    if isinstance(fan.thread.step.state, asl.Map):
        tell(run, child, "MapIterationFailed", iteration(child))
    del fan.children[child.index]
    fan.thread.last = child.last
    give_up_children(run, fan, told=True)
    fan.thread.work = None
    fail(run, fan.thread, failure)


class Plan(NamedTuple):
    """How a Map is about to go through its items: what its fields say at this moment."""

    max_concurrency: int  # 0: as many as may be
    tolerated_count: int | None
    tolerated_percentage: float | None
    inputs: Iterator[_Input]  # of each item, before they are put into batches

    def failures_max(self, total: int) -> int:
        """Return how many children of so many may fail: where both bounds are given, neither may be exceeded."""
        bounds: list[int] = [] if self.tolerated_count is None else [self.tolerated_count]
        if self.tolerated_percentage is not None:
            bounds.append(int(total * self.tolerated_percentage / PERCENT_MAX))
        return min(bounds, default=0)


def planned(run: Run, thread: Thread, items: list[Item]) -> Plan:
    """Evaluate the fields of a Map that say how its items are gone through."""
    inputs = _selected(thread, scope_of(run, thread), items)
    return Plan(at_once(run, thread), *tolerated(run, thread), inputs)


def at_once(run: Run, thread: Thread) -> int:
    """Return how many iterations of a Map may run at once; 0 is as many as may be."""
    field = thread.step.amounts.get("max_concurrency")
    if field is None:
        return 0
    value = int(number(field, scope_of(run, thread).over(thread.effective)) or 0)
    if value < 0:
        cause = f"Expected non-negative integer for MaxConcurrency, got '{value}' instead."
        raise EvaluationFailed(RUNTIME, cause, "MaxConcurrency")
    return value


def tolerated(run: Run, thread: Thread) -> tuple[int | None, float | None]:
    """Return how many children of a distributed Map may fail: a count and a percentage."""
    if not map_of(thread).distributed:
        return None, None
    amounts, seen = thread.step.amounts, scope_of(run, thread).over(thread.effective)
    count = number(amounts.get("tolerated_failure_count"), seen)
    if count is not None and count < 0:
        raise EvaluationFailed(RUNTIME, "ToleratedFailureCount cannot be negative.", "ToleratedFailureCount")
    percent = number(amounts.get("tolerated_failure_percentage"), seen, whole=False)
    within("ToleratedFailurePercentage", percent or 0, 0, PERCENT_MAX)
    return None if count is None else int(count), percent


def _start(run: Run, thread: Thread, items: list[Item]) -> None:
    state = map_of(thread)
    plan = planned(run, thread, items)
    limit = DISTRIBUTED_AT_ONCE if state.distributed else INLINE_AT_ONCE
    most = min(plan.max_concurrency or limit, limit)
    if state.distributed:
        inputs = list(plan.inputs)
        ready = inputs if state.item_batcher is None else batches(run, thread, inputs)
        fan = thread.work = Fan(thread, len(ready), most)
        fan.inputs, fan.failures_max = iter(ready), plan.failures_max(len(ready))
        fan.map_run = map_run_arn(run, thread)
        begin_telling(fan, [given for given, _ in ready])
        tell(run, thread, "MapRunStarted", {"mapRunArn": fan.map_run})
    else:
        fan = thread.work = Fan(thread, len(items), most)
        fan.inputs = plan.inputs
    _fill(run, fan)


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
        told_begun(run, fan, index)
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
    if not fan.map_run:
        _map_succeeded(run, thread, fan.outputs)
    elif exports(fan):
        begin_writing(run, fan, None)
    else:
        tell(run, thread, "MapRunSucceeded")
        _map_succeeded(run, thread, shaped_output(fan))


def _map_succeeded(run: Run, thread: Thread, output: Json) -> None:
    tell(run, thread, "MapStateSucceeded")
    leave(run, thread, thread.step.flow, output, thread.step.next)
