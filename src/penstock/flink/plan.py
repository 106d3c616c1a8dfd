"""What a job is made of, as plain data: it is written into job files, and goes to Flink's workers."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from penstock.adapters.kafka.address import address_of
from penstock.adapters.kafka.java_client import java_properties
from penstock.errors import Finding, Invalid, Missing
from penstock.flink.carrying import carried_by_job, require_carried, sink_topics, source_topics
from penstock.settings import Settings, shown_url
from penstock.tracers import told_variables
from penstock.wiring import Declared

PARALLELISM_MAX = 1024
EVERY_MS_MIN, EVERY_MS_MAX = 50, 3_600_000
CONNECTOR = "flink-sql-connector-kafka"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job runs.

    `checkpoints`: the folder (or s3://...) that checkpoints go to; empty: only the job's own restarts go on from them.
    `fresh`: begin without what the newest checkpoint there has. `out_of_order_s`: how much events may be out of order in time;
    `late_after_s`: events that are later than that, and so many seconds more, are dead letters (None: none are).
    `jars`: of Flink's connector for Kafka, with ":" between several. `streams`: the app's streams alone, whose other agents run
    elsewhere. `steps_wait`: a step with effects waits for the checkpoint that has what its run recorded before.
    """

    parallelism: int = 1
    checkpoints: str = ""
    checkpoint_every_ms: int = 1000
    fresh: bool = False
    out_of_order_s: float = 5.0
    late_after_s: float | None = None
    jars: str = ""
    streams: bool = False
    steps_wait: bool = True

    def carried(self, declared: Declared) -> Declared:
        """Return what of an app the job carries."""
        return declared.of_streams() if self.streams else declared

    def findings(self) -> list[Finding]:
        """Return what is wrong with them."""
        rules = (
            ("--parallelism", self.parallelism, 1 <= self.parallelism <= PARALLELISM_MAX, f"1 to {PARALLELISM_MAX}"),
            (
                "--checkpoint-every-ms",
                self.checkpoint_every_ms,
                EVERY_MS_MIN <= self.checkpoint_every_ms <= EVERY_MS_MAX,
                f"{EVERY_MS_MIN} to {EVERY_MS_MAX}",
            ),
            ("--out-of-order-s", self.out_of_order_s, 0 <= self.out_of_order_s < 86_400, "0 or more, less than a day"),  # noqa: PLR2004
            ("--late-after-s", self.late_after_s, self.late_after_s is None or self.late_after_s >= 0, "0 or more"),
        )
        return [Finding(path, f"is {value!r}", hint) for path, value, holds, hint in rules if not holds]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One job. `sources` and `sinks` are the app's names of topics; those in Kafka have `prefix` before them."""

    app: str
    file: str
    sources: Mapping[str, str]  # each with the type of its events, where it has one only
    sinks: tuple[str, ...]
    prefix: str
    group: str
    kafka: Mapping[str, str]  # what Kafka's client in Java is told
    settings: Mapping[str, str]  # model, ...: what agents use
    traces: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # OpenTelemetry's variables, where they ask for traces
    options: JobOptions = field(default_factory=JobOptions)

    def without_secrets(self) -> "JobPlan":
        """Return what workers need to know of it: they do not speak to Kafka."""
        return replace(self, kafka={})


def plan_of(declared: Declared, file: Path, chosen: Settings, options: JobOptions) -> JobPlan:
    """Return the plan of an app's job; `Invalid`, with all findings, for one that cannot be."""
    findings = options.findings()
    if not chosen.log.startswith("kafka://"):
        hint = "give --log kafka://HOST:PORT"
        findings.append(
            Finding("log", f"is {shown_url(chosen.log)!r}, and a job on Flink reads and writes Kafka", hint)
        )
    if "format=avro" in chosen.log:
        findings.append(Finding("log", "has format=avro, and a job on Flink carries JSON", "leave it out"))
    if options.streams and not declared.stages:
        findings.append(Finding("--streams", "is given, and the app declares none", "declare one: app.stream(...)"))
    if findings:
        raise Invalid("the job", tuple(findings))
    declared = options.carried(declared)
    require_carried(declared)
    address = address_of(chosen.log)
    types = carried_by_job(declared)
    return JobPlan(
        app=declared.name,
        file=str(file.resolve()),
        sources={topic: types[topic] for topic in source_topics(declared)},
        sinks=tuple(sink_topics(declared)),
        prefix=address.prefix,
        group=f"{address.group}-{declared.name}",
        kafka=java_properties(address.settings),
        settings={"model": chosen.model, "embedder": chosen.embedder},
        traces=told_variables(os.environ),
        options=options,
    )


def newest_checkpoint(folder: str) -> str:
    """Return the newest whole checkpoint below a folder of this machine, empty when there is none."""
    whole = [*Path(folder).glob("*/chk-*/_metadata"), *Path(folder).glob("savepoint-*/_metadata")]
    found = sorted(whole, key=lambda each: each.stat().st_mtime_ns)
    return str(found[-1].parent) if found else ""


def connector_jars(options: JobOptions, environment: Mapping[str, str] | None = None) -> list[Path]:
    """Return the jars of Flink's connector for Kafka; `Missing` where there are none."""
    given = options.jars or (os.environ if environment is None else environment).get("PENSTOCK_FLINK_JARS", "")
    if given:
        jars = [Path(each).expanduser().resolve() for each in given.split(os.pathsep) if each]
        gone = [
            Finding("--jars", f"{each} does not exist", "give the paths of jars") for each in jars if not each.is_file()
        ]
        if gone:
            raise Invalid("the job", tuple(gone))
        return jars
    places = [Path(each) / "pyflink" / "lib" for each in sys.path]
    if any(list(place.glob(f"{CONNECTOR}-*.jar")) for place in places):
        return []  # Flink loads it by itself
    hint = f"get org.apache.flink:{CONNECTOR}:5.0.0-2.2 from Maven Central, and give its path: --jars, or PENSTOCK_FLINK_JARS"
    raise Missing("Flink's connector for Kafka", hint)
