"""Running a job from here: its topics are made, it is submitted, and it is stopped as it should be."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from penstock.adapters.kafka.broker import open_kafka
from penstock.errors import PenstockError, Unavailable
from penstock.flink.job import built
from penstock.flink.operators import Load
from penstock.flink.plan import JobPlan
from penstock.flink.pyflink_names import savepoint_form

Tell: TypeAlias = Callable[[str], object]


async def make_topics(log: str, plan: JobPlan, partitions: int) -> None:
    """Make the topics of a job that are not there; `Unavailable` when Kafka does not answer, `Invalid` for wrong credentials."""
    async with open_kafka(log) as kafka:
        await kafka.require({*plan.sources, *plan.sinks}, partitions)


def run_job(plan: JobPlan, load: Load, tell: Tell) -> None:
    """Run a job until it is stopped (SIGINT, SIGTERM), or has failed: then `Unavailable` says what it died of.

    Stopped, it leaves a savepoint where its checkpoints are, and the same command goes on from there.
    """
    # PyFlink's name for it: else handlers would be threads of this process, and share its interpreter lock.
    os.environ.setdefault("_python_worker_execution_mode", "process")
    try:
        client: Any = built(plan, load).execute_async(plan.app)
    except PenstockError:
        raise
    except Exception as error:  # of Java
        raise Unavailable("Flink", "take the job", _told(error)) from error
    ended, failures = threading.Event(), list[Exception]()

    def wait() -> None:
        try:
            client.get_job_execution_result().result()
        except Exception as error:  # noqa: BLE001 - of Java
            failures.append(error)
        ended.set()

    threading.Thread(target=wait, daemon=True, name="penstock-job").start()
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        ended.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    tell(f"{plan.app} runs on Flink as job {client.get_job_id()}")
    ended.wait()
    if stopped.is_set():
        _stop(client, plan, tell)
    elif failures:
        raise Unavailable("the job", "run", _told(failures[0]))


def _stop(client: Any, plan: JobPlan, tell: Tell) -> None:
    folder = plan.options.checkpoints
    if not folder:
        client.cancel().result()
        return
    target = folder if "://" in folder else Path(folder).resolve().as_uri()
    # PyFlink's own stop_with_savepoint calls a method that Flink 2 does not have any more.
    java = client._j_job_client  # noqa: SLF001
    place = java.stopWithSavepoint(False, target, savepoint_form()).get()  # False: what is on its way stays there
    tell(f"stopped; the next run goes on from {place}")


def _told(error: Exception) -> str:
    """Return what a job died of: the innermost cause of a long chain of Java's."""
    text = str(error)
    with suppress(ValueError):
        text = text[text.rindex("Caused by:") :]
    return " ".join(text.split())[:2000]
