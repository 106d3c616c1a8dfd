"""Running a job from here: its topics are made, it is submitted, and it is stopped as it should be."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from penstock.adapters.kafka.address import address_of
from penstock.adapters.kafka.broker import open_kafka
from penstock.errors import PenstockError, Unavailable
from penstock.flink.job import built
from penstock.flink.lease import Lease
from penstock.flink.looking import JobSeen
from penstock.flink.marks import marks_topic
from penstock.flink.operators import Load
from penstock.flink.plan import JobPlan
from penstock.flink.pyflink_names import savepoint_form

Tell: TypeAlias = Callable[[str], object]
HERE = "127.0.0.1"
SEEN_EVERY_MS = 2000  # how old metrics are that Flink tells


async def make_topics(log: str, plan: JobPlan, partitions: int) -> None:
    """Make the topics of a job that are not there; `Unavailable` when Kafka does not answer, `Invalid` for wrong credentials."""
    async with open_kafka(log) as kafka:
        await kafka.require({*plan.sources, *plan.sinks}, partitions)


def _unseen(_: JobSeen | None) -> None: ...


class _End:
    """That a job ends, and how: one of these comes first."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.stops = False  # with a savepoint
        self.is_followed = False  # by a newer one of its name
        self.failure: Exception | None = None

    def stop(self, *_: object) -> None:
        """Have it stopped."""
        self.stops = True
        self.came.set()

    def follow(self, is_there: bool) -> None:  # noqa: FBT001 - a callback's own form
        """A newer job has come; `is_there`: this one is not given up yet, and leaves what it goes on from."""
        self.is_followed, self.stops = True, is_there
        self.came.set()

    def wait_for(self, client: Any) -> None:
        """Wait until Flink says that the job has ended, in a thread of its own."""

        def wait() -> None:
            try:
                client.get_job_execution_result().result()
            except Exception as error:  # noqa: BLE001 - of Java
                self.failure = error
            self.came.set()

        threading.Thread(target=wait, daemon=True, name="penstock-job").start()


def run_job(
    plan: JobPlan, load: Load, tell: Tell, log: str, *, seen: Callable[[JobSeen | None], object] | None = None
) -> None:
    """Run a job until it is stopped (SIGINT, SIGTERM), a newer one of its name has come, or it has failed.

    Failed, `Unavailable` says what it died of. Else it leaves a savepoint where its checkpoints are, and the same command goes on
    from there. `log`: the address of Kafka. `seen` is told of the job by which one may look at it, and of None when it ends.
    """
    end, address = _End(), address_of(log)
    topic = plan.prefix + marks_topic(plan.app)
    lease = Lease(address.settings, f"{plan.group}-jobs", topic, end.follow)
    try:
        lease.take(tell)
        port = 0 if seen is None else _free_port()
        client = _submitted(plan, load, port)
        end.wait_for(client)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, end.stop)
        tell(f"{plan.app} runs on Flink as job {client.get_job_id()}")
        show = seen or _unseen
        show(JobSeen(HERE, port, str(client.get_job_id())))
        end.came.wait()
        show(None)
        _ended(client, plan, tell, end)
    finally:
        lease.release()


def _submitted(plan: JobPlan, load: Load, port: int) -> Any:
    # PyFlink's name for it: else handlers would be threads of this process, and share its interpreter lock.
    os.environ.setdefault("_python_worker_execution_mode", "process")
    try:
        return built(plan, load, _door(port)).execute_async(plan.app)
    except PenstockError:
        raise
    except Exception as error:  # of Java
        raise Unavailable("Flink", "take the job", _told(error)) from error


def _ended(client: Any, plan: JobPlan, tell: Tell, end: _End) -> None:
    if end.is_followed:
        tell(f"another job {plan.app} has begun: it goes on, and this one ends")
    if end.stops:
        _stop(client, plan, tell)
    elif end.is_followed:
        client.cancel().result()
    elif end.failure is not None:
        raise Unavailable("the job", "run", _told(end.failure))


def _door(port: int) -> dict[str, str]:
    """Return what has Flink say at a port of this machine how its jobs do."""
    if not port:
        return {}
    places = {"rest.address": HERE, "rest.bind-address": HERE, "rest.port": str(port), "rest.bind-port": str(port)}
    return {**places, "metrics.fetcher.update-interval": str(SEEN_EVERY_MS)}


def _free_port() -> int:
    with socket.create_server((HERE, 0)) as listening:
        return int(listening.getsockname()[1])


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
