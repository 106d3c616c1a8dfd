"""The servers that a stack needs, installed, started and stopped by the project's own scripts; and what dies on the way."""

import sys
import tempfile
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from enrichment_beginning import NoStack, go_apart, is_apart, scripts_of_servers

SERVERS = ("brokers", "milvus", "moto", "flink", "ray")  # the folders of their scripts
APP = Path(__file__).with_name("enrichment_app.py")
PARTITIONS = 6
BURIED = "stream-enrichment-dead-letters"  # of the job on Flink


class Embedded:
    """One process, and one file."""

    def __init__(self, folder: Path) -> None:
        self.settings = {"store": f"sqlite:{folder / 'embedded.db'}"}
        self.variables: dict[str, str] = {}
        self.python = sys.executable
        self.day_s_max = 120

    def app_killed(self) -> None:
        """The app is dead, and about to begin again."""

    def amid(self) -> None:
        """More than half is answered."""

    def told(self) -> dict:
        """Return what became of it."""
        return {}


class Cluster(Embedded):
    """Kafka, Flink, Milvus, Ray and Redis."""

    def __init__(self, servers: "Servers") -> None:
        self._servers = servers
        self.settings = {
            "log": servers.log,
            "store": f"sqlite:{servers.folder / 'state.db'}",
            "vectors": f"{servers.milvus}?index=FLAT",
            "host": servers.ray.direct,
            "streams": "flink",  # this process leaves them to the job
        }
        self.variables = servers.variables
        self.python = str(servers.ray.python)
        self.day_s_max = 300
        self._starter = ThreadPoolExecutor(1)
        self._back: Future[float] | None = None
        self._killed = {"processes_of_job": 0, "worker_of_flink": 0, "worker_of_ray": 0, "workers_of_ray": 0}

    def app_killed(self) -> None:
        self._killed["processes_of_job"] = self._servers.job.kill()
        self._back = self._starter.submit(self._servers.job.start)  # beside the app's next life

    def amid(self) -> None:
        if self._back is not None:
            self._back.result()
        workers = self._servers.ray.workers()
        self._killed["workers_of_ray"] = len(workers)
        if workers:
            workers[0].kill()
            self._killed["worker_of_ray"] = workers[0].pid
        self._killed["worker_of_flink"] = self._servers.job.kill_worker()

    def told(self) -> dict:
        back_s = 0.0 if self._back is None else self._back.result()
        self._starter.shutdown()
        found = self._servers.topics.committed(BURIED, 1, 3)
        reasons = [dict(each.headers)["penstock-reason"].decode() for each in found]
        return {"cluster": {**self._killed, "job_back_s": back_s}, "dead": reasons}


class Servers:
    """The servers, once they run."""

    def __init__(self, folder: Path, say, stack: ExitStack) -> None:
        from flink_installed import installed_flink
        from flink_job import Job
        from job_topics import Topics
        from kafka_server import required_kafka
        from milvus_server import required_milvus
        from ray_server import installed, own_ray, paths_of
        from redis_server import required_redis

        self.folder = folder
        say("starting Kafka")
        kafka = stack.enter_context(required_kafka())
        self.topics, self.log = Topics(kafka.hosts), f"{kafka.address}?partitions={PARTITIONS}"
        say("starting Redis")
        redis = stack.enter_context(required_redis())
        say("starting Milvus")
        self.milvus = stack.enter_context(required_milvus())
        say("starting Ray")
        self.variables = {"ENRICHMENT_REDIS": redis.address, "PYTHONPATH": paths_of(installed())}
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="pr-", dir="/tmp", ignore_cleanup_errors=True))
        self.ray = own_ray(Path(sockets), apart=False, environment=self.variables)
        stack.callback(self.ray.stop)
        say("starting Flink: its job has the app's streams")
        self.job = Job(installed_flink(), APP, self.log, folder, "--streams")
        stack.callback(self.job.kill)
        self.job.start()


@contextmanager
def embedded(folder: Path, say) -> Generator[Embedded]:
    yield Embedded(folder)


@contextmanager
def kafka_flink_ray(folder: Path, say) -> Generator[Cluster]:
    with ExitStack() as stack:
        with scripts_of_servers(*SERVERS):
            cluster = Cluster(Servers(folder, say, stack))
        yield cluster


def install(say) -> None:
    """Install what is missing, and begin again apart; `NoStack` says what cannot be had."""
    if is_apart():
        return
    with scripts_of_servers(*SERVERS):
        if find_spec("milvus_lite") is None:
            raise NoStack("no milvus-lite here: run `make setup`, or pip install pymilvus milvus-lite")
        from flink_installed import installed_flink
        from kafka_server import installed_kafka
        from own_process import installed_by_apt
        from ray_server import installed

        for name, there in (
            ("Redis", lambda: installed_by_apt("redis-server", "redis-server")),
            ("Kafka", installed_kafka),
            ("Flink (0.8 GB, once)", installed_flink),
            ("Ray (0.4 GB, once)", installed),
        ):
            say(f"looking for {name}")
            there()
    go_apart()


STACKS = {"embedded": embedded, "kafka-flink-ray": kafka_flink_ray}
