"""A Kafka for the tests: the one that PENSTOCK_KAFKA names ("HOST:PORT"), or one of our own (KRaft, one node) from Maven Central."""

import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from own_process import NoServerError, OwnProcess, alone, answers, free_port, require, run, services_folder

VERSION = "4.4.0"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
      <exclusions><!-- its POM names it, and Maven Central does not have it -->
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <!-- without it the broker logs nothing -->
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version></dependency>
  </dependencies>
</project>
"""
LOGGING = """status=warn
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=WARN
rootLogger.appenderRef.c.ref=C
logger.kafka.name=kafka.server
logger.kafka.level=INFO
"""
SETTINGS = """process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.partitions=6
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={insync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={insync}
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.consumer.min.session.timeout.ms=2000
group.consumer.session.timeout.ms=3000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
auto.create.topics.enable=false
min.insync.replicas={insync}
broker.session.timeout.ms={session_ms}
"""
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"


class Kafka:
    """A Kafka that is there. `address` is what `log` names; `process` is None where it is not ours."""

    def __init__(self, hosts: str, process: OwnProcess | None = None) -> None:
        self.hosts = hosts
        self.address = f"kafka://{hosts}"
        self.process = process


@contextmanager
def required_kafka() -> Generator[Kafka]:
    """Yield a running Kafka; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    given = os.environ.get("PENSTOCK_KAFKA")
    if given:
        yield Kafka(given)
        return
    folder = Path(tempfile.mkdtemp(prefix="penstock-kafka-"))
    try:
        try:
            kafka = own_kafka(folder)
        except NoServerError as error:
            require("kafka", error)
            raise
        try:
            yield kafka
        finally:
            assert kafka.process is not None
            kafka.process.kill()  # the quickest: the folder goes anyway
            kafka.process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_kafka(folder: Path, advertised: int | None = None) -> Kafka:
    """Start a Kafka whose data lie in a folder; `advertised`: the port that clients are told to come to, a proxy's perhaps."""
    port, controller = free_port(), free_port()
    node = _Node(1, folder, port, controller, f"1@127.0.0.1:{controller}", 1, advertised or port)
    process = _process(node)
    process.start()
    return Kafka(f"127.0.0.1:{port}", process)


class _Node(NamedTuple):
    number: int
    folder: Path
    port: int
    controller: int
    voters: str
    nodes: int
    advertised: int
    more: str = ""  # settings, which win over those above
    users: Sequence[str] = ()  # as `--add-scram` takes them


def started_node(folder: Path, port: int, controller: int, more: str, users: Sequence[str]) -> OwnProcess:
    """Start a Kafka of one node with settings and users beside the usual ones."""
    voters = f"1@127.0.0.1:{controller}"
    process = _process(_Node(1, folder, port, controller, voters, 1, port, more, users))
    process.start()
    return process


@contextmanager
def kafka_cluster(nodes: int = 3) -> Generator[tuple[str, list[OwnProcess]]]:
    """Yield the address of a cluster of our own, and its processes: each topic on all nodes, acknowledged by two."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-kafka-"))
    ports = [(free_port(), free_port()) for _ in range(nodes)]
    voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in enumerate(ports, 1))
    processes: list[OwnProcess] = []
    try:
        for number, (port, controller) in enumerate(ports, 1):
            own = folder / str(number)
            own.mkdir()
            processes.append(_process(_Node(number, own, port, controller, voters, nodes, port)))
        with ThreadPoolExecutor(nodes) as starting:  # none is ready before most are there
            list(starting.map(OwnProcess.start, processes))
        hosts = ",".join(f"127.0.0.1:{port}" for port, _ in ports)
        yield f"kafka://{hosts}?replication={nodes}", processes
    finally:
        for each in processes:
            each.kill()
            each.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _process(node: _Node) -> OwnProcess:
    java = shutil.which("java")
    if java is None:
        raise NoServerError("no Java here: install openjdk-17-jre-headless, or set PENSTOCK_KAFKA=HOST:PORT")
    home = installed_kafka()
    settings = node.folder / "server.properties"
    several = node.nodes > 1
    settings.write_text(
        SETTINGS.format(
            node=node.number,
            voters=node.voters,
            port=node.port,
            controller=node.controller,
            advertised=node.advertised,
            data=node.folder / "data",
            replicas=node.nodes,
            insync=2 if several else 1,
            session_ms=3000 if several else 9000,
        )
        + node.more
    )
    libraries = ["-cp", f"{home}/libs/*"]
    made = [java, "-Xmx128m", "-XX:TieredStopAtLevel=1", *libraries, "kafka.tools.StorageTool", "format"]
    run([*made, "-t", CLUSTER, "-c", settings, *(part for each in node.users for part in ("--add-scram", each))])
    memory = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]
    logging = f"-Dlog4j2.configurationFile={home / 'log4j2.properties'}"
    log = node.folder / "server.log"

    def ready() -> bool:
        return answers(node.port) and "Kafka Server started" in log.read_text(errors="replace")

    return OwnProcess([java, *memory, logging, *libraries, "kafka.Kafka", settings], node.folder, ready)


def installed_kafka() -> Path:
    """Return where Kafka is, installed now where it is not."""
    home = services_folder() / f"kafka-{VERSION}"
    with alone("kafka"):
        if not (home / "libs" / ".done").exists():
            maven = shutil.which("mvn")
            if maven is None:
                raise NoServerError("no Maven here: install maven, or set PENSTOCK_KAFKA=HOST:PORT")
            home.mkdir(parents=True, exist_ok=True)
            (home / "pom.xml").write_text(POM.format(version=VERSION))
            (home / "log4j2.properties").write_text(LOGGING)
            goal = "dependency:copy-dependencies"
            run([maven, "-B", "-ntp", "-q", goal, "-DoutputDirectory=libs", "-DincludeScope=runtime"], cwd=home)
            (home / "libs" / ".done").touch()
    return home
