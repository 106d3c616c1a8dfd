"""What a distributed Map reads its items from and writes its results to, as far as the run itself is concerned."""

from typing import Final, cast

import msgspec

from penstock.core.asl import definition as asl
from penstock.core.asl.amounts import number
from penstock.core.asl.events import tell
from penstock.core.asl.failing import fail
from penstock.core.asl.happenings import ReadItems, WriteResults
from penstock.core.asl.results import PENDING, RUNNING, Child, shaped
from penstock.core.asl.run import Failure, Fan, Run, Thread, Work
from penstock.core.asl.scope import SeededChance
from penstock.core.asl.threads import begin_work, end_work, scope_of
from penstock.core.asl.values import Json

READER_FAILED: Final = "States.ItemReaderFailed"
WRITER_FAILED: Final = "States.ResultWriterFailed"
_INLINE: Final = asl.WriterConfig(transformation="COMPACT")
_EXPORTED: Final = asl.WriterConfig(transformation="NONE")


def map_of(thread: Thread) -> asl.Map:
    assert isinstance(thread.step.state, asl.Map), thread.step
    return thread.step.state


def map_run_arn(run: Run, thread: Thread) -> str:
    label = map_of(thread).label or thread.step.name
    machine = run.base["StateMachine"]["Id"].replace(":stateMachine:", ":mapRun:")
    return f"{machine}/{label}:{SeededChance(f'{run.name}/{run.number}/{thread.entered}').uuid()}"


def begin_reading(run: Run, thread: Thread, reader: asl.ItemReader) -> None:
    """Have the items of a Map read."""
    step, scope = thread.step, scope_of(run, thread).over(thread.effective)
    items_max = number(step.amounts.get("max_items"), scope)
    payload = step.templates["ItemReader"].evaluate(scope) if "ItemReader" in step.templates else None
    config = reader.reader_config or asl.ReaderConfig()
    if "ItemReader.CSVHeaders" in step.templates:
        headers = step.templates["ItemReader.CSVHeaders"].evaluate(scope)
        config = msgspec.structs.replace(config, csv_headers=tuple(map(str, cast("list[Json]", headers))))
    if items_max is not None and items_max < 0:
        reading_failed(run, thread, Failure(READER_FAILED, "field MaxItems must be positive"))
        return
    work = begin_work(run, thread, "read")
    asked = None if items_max is None else int(items_max)
    run.commands.append(
        ReadItems(id=work.id, resource=reader.resource, payload=payload, config=config, items_max=asked)
    )


def reading_failed(run: Run, thread: Thread, failure: Failure) -> None:
    """Fail a Map whose items cannot be read."""
    tell(run, thread, "MapRunStarted", {"mapRunArn": map_run_arn(run, thread)})
    failure = _named(READER_FAILED, failure)
    tell(run, thread, "MapRunFailed", {"error": failure.error, "cause": failure.cause})
    fail(run, thread, failure)


def begin_telling(fan: Fan, inputs: "list[Json]") -> None:
    """Keep what a ResultWriter is to tell of the children of a Map."""
    if map_of(fan.thread).result_writer is not None:
        fan.told = [
            Child(name=SeededChance(f"{fan.map_run}/{at}").uuid(), input=each) for at, each in enumerate(inputs)
        ]


def told_begun(run: Run, fan: Fan, at: int) -> None:
    if fan.told is not None:
        fan.told[at] = msgspec.structs.replace(fan.told[at], status=RUNNING, started_ms=run.now_ms)


def told_ended(run: Run, fan: Fan, at: int, output: Json) -> None:
    if fan.told is not None:
        fan.told[at] = msgspec.structs.replace(
            fan.told[at], status="SUCCEEDED", output=output, error=None, cause=None, stopped_ms=run.now_ms
        )


def told_failed(run: Run, fan: Fan, at: int, failure: Failure) -> None:
    if fan.told is not None:
        fan.told[at] = msgspec.structs.replace(
            fan.told[at], status="FAILED", error=failure.error, cause=failure.cause, stopped_ms=run.now_ms
        )


def shaped_output(fan: Fan) -> Json:
    """Return the output of a Map whose results are not written: of its WriterConfig, when it has one."""
    writer = map_of(fan.thread).result_writer
    if writer is None or fan.told is None:
        return fan.outputs
    return shaped(fan.told, fan.map_run, _config(writer, _INLINE))


def exports(fan: Fan) -> bool:
    """Whether a Map writes its results."""
    writer = map_of(fan.thread).result_writer
    return writer is not None and writer.resource is not None


def begin_writing(run: Run, fan: Fan, failure: Failure | None) -> None:
    """Have the results of a Map written, also of one that has failed."""
    thread = fan.thread
    writer = map_of(thread).result_writer
    assert writer is not None, "it has a ResultWriter"
    assert writer.resource is not None, "that writes"
    given = thread.step.templates.get("ResultWriter")
    payload = None if given is None else given.evaluate(scope_of(run, thread).over(thread.effective))
    work = begin_work(run, thread, "write")
    work.map_run, work.failure = fan.map_run, failure
    run.commands.append(
        WriteResults(
            id=work.id,
            resource=writer.resource,
            payload=payload,
            config=_config(writer, _EXPORTED),
            map_run=fan.map_run,
            children=tuple(_given_up(run, each) for each in fan.told or ()),
        )
    )


def map_run_failed(run: Run, thread: Thread, failure: Failure) -> None:
    tell(run, thread, "MapRunFailed", {"error": failure.error, "cause": failure.cause})
    fail(run, thread, Failure(failure.error, failure.cause))


def writing_failed(run: Run, work: Work, failure: Failure) -> None:
    thread = work.thread
    end_work(run, work)
    failure = _named(WRITER_FAILED, failure)
    tell(run, thread, "MapRunFailed", {"error": failure.error, "cause": failure.cause})
    fail(run, thread, failure)


def _config(writer: asl.ResultWriter, default: asl.WriterConfig) -> asl.WriterConfig:
    """Return a WriterConfig that says what becomes of the results, also where the definition leaves that out."""
    config = writer.writer_config
    if config is None:
        return default
    return config if config.transformation else msgspec.structs.replace(config, transformation=default.transformation)


def _given_up(run: Run, child: Child) -> Child:
    """Return a child that was left behind, as it is told of."""
    if child.status in (PENDING, RUNNING):
        status = PENDING if child.status == PENDING else "ABORTED"
        stopped_ms = None if child.status == PENDING else run.now_ms
        return msgspec.structs.replace(child, status=status, stopped_ms=stopped_ms)
    return child


def _named(error: str, failure: Failure) -> Failure:
    """Return a failure under the name that the States Language has for it; its own can be caught as well."""
    also = (failure.error,) if failure.error and failure.error != error else ()
    return Failure(error, failure.cause, also)
