"""A job of Flink: Kafka, agents by key, Kafka. Source and sink are tables, since only those show headers to Python."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from penstock.flink.marks import marks_topic
from penstock.flink.operators import READ, SENT, Handling, Load, Reading
from penstock.flink.plan import JobPlan, connector_jars, newest_checkpoint
from penstock.flink.pyflink_names import (
    Configuration,
    Schema,
    StreamExecutionEnvironment,
    StreamTableEnvironment,
    Types,
)

BUNDLE_MS = 10  # how long events wait in Flink for others to go to Python with
TRANSACTION_MS = (
    600_000  # within which a job that died has to be back, or what it had sent is lost; Kafka allows 15 minutes
)
IDLE_S = 10  # a partition that is silent for so long does not hold the time of the others back
FAILURES_MAX, FAILURES_WITHIN = 6, "10 min"  # then the job ends
SOURCE = """CREATE TEMPORARY TABLE penstock_source (
  `key` BYTES, `value` BYTES,
  `headers` MAP<STRING NOT NULL, BYTES> METADATA,
  `topic` STRING METADATA VIRTUAL, `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL,
  `published` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  `at` AS COALESCE(TO_TIMESTAMP_LTZ(TRY_CAST(CAST(`headers`['ce_timems'] AS STRING) AS BIGINT), 3), `published`),
  WATERMARK FOR `at` AS `at` - INTERVAL '{out_of_order}' DAY TO SECOND
) WITH ({options})"""
SINK = """CREATE TEMPORARY TABLE penstock_sink (
  `key` BYTES, `value` BYTES, `headers` MAP<STRING NOT NULL, BYTES> METADATA, `topic` STRING METADATA
) WITH ({options})"""
FORMAT = {"key.format": "raw", "key.fields": "key", "value.format": "raw", "value.fields-include": "EXCEPT_KEY"}


def built(plan: JobPlan, load: Load, more: Mapping[str, str] = MappingProxyType({})) -> Any:
    """Return Flink's environment with the job in it, to be executed.

    `load` is imported where handlers run. `more`: what a cluster inside this process is told beside.
    """
    environment = StreamExecutionEnvironment.get_execution_environment(_configuration(plan, more))
    environment.set_parallelism(plan.options.parallelism)
    tables = StreamTableEnvironment.create(environment)
    tables.execute_sql(_with_options(SOURCE, _source(plan), out_of_order=_interval(plan.options.out_of_order_s)))
    tables.execute_sql(_with_options(SINK, _sink(plan)))
    messages = tables.to_data_stream(tables.from_path("penstock_source"))
    inside = plan.without_secrets()
    events = messages.flat_map(Reading(inside), READ).name("events").uid("penstock-events")
    handled = events.key_by(_name, key_type=Types.STRING()).process(Handling(inside, load), SENT)
    sent = handled.name(plan.app).uid("penstock-agents")
    schema = Schema.new_builder().column("key", "BYTES").column("value", "BYTES")
    schema = schema.column("headers", "MAP<STRING NOT NULL, BYTES>").column("topic", "STRING").build()
    statements = tables.create_statement_set()
    statements.add_insert("penstock_sink", tables.from_data_stream(sent, schema))
    statements.attach_as_datastream()
    return environment


def _name(row: Any) -> Any:
    return row[0]


def _configuration(plan: JobPlan, more: Mapping[str, str]) -> Any:
    options, configuration = plan.options, Configuration()
    jars = connector_jars(options)
    chosen = {
        "execution.checkpointing.interval": f"{options.checkpoint_every_ms} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "python.execution-mode": "process",  # in threads of the JVM nothing came to its end
        "python.fn-execution.bundle.time": str(BUNDLE_MS),
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "restart-strategy.type": "failure-rate",
        "restart-strategy.failure-rate.max-failures-per-interval": str(FAILURES_MAX),
        "restart-strategy.failure-rate.failure-rate-interval": FAILURES_WITHIN,
        "restart-strategy.failure-rate.delay": "1 s",
        "table.exec.uid.generation": "ALWAYS",
    }
    if jars:
        chosen["pipeline.jars"] = ";".join(each.as_uri() for each in jars)
    if options.checkpoints:
        is_url = "://" in options.checkpoints
        folder = options.checkpoints if is_url else Path(options.checkpoints).resolve().as_uri()
        chosen["execution.checkpointing.dir"] = folder
        newest = "" if is_url or options.fresh else newest_checkpoint(options.checkpoints)
        if newest:
            chosen["execution.state-recovery.path"] = Path(newest).resolve().as_uri()
    for name, value in {**chosen, **more}.items():
        configuration.set_string(name, value)
    return configuration


def _source(plan: JobPlan) -> dict[str, str]:
    return FORMAT | {
        "connector": "kafka",
        "topic": ";".join(plan.prefix + topic for topic in (*plan.sources, marks_topic(plan.app))),
        "properties.group.id": plan.group,
        "properties.isolation.level": "read_committed",
        "scan.watermark.idle-timeout": f"{IDLE_S} s",
        "scan.startup.mode": "earliest-offset",  # without a checkpoint: all that there is
        **{f"properties.{name}": value for name, value in plan.kafka.items()},
    }


def _sink(plan: JobPlan) -> dict[str, str]:
    return FORMAT | {
        "connector": "kafka",
        "topic": ";".join(plan.prefix + topic for topic in plan.sinks),
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": plan.group,
        "properties.transaction.timeout.ms": str(TRANSACTION_MS),
        **{f"properties.{name}": value for name, value in plan.kafka.items()},
    }


def _with_options(statement: str, options: dict[str, str], **more: str) -> str:
    quoted = [f"'{_sql(name)}' = '{_sql(value)}'" for name, value in options.items()]
    return statement.format(options=", ".join(quoted), **more)


def _sql(text: str) -> str:
    return text.replace("'", "''")


def _interval(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"0 {hours:02}:{minutes:02}:{rest:06.3f}"
