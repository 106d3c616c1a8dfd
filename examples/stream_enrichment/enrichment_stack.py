"""The servers that a stack needs, started by the project's own scripts and stopped again, and the settings that name them."""

import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

SERVICES = Path(__file__).parents[2] / "tests" / "services"
PARTITIONS = 1  # all that this example was tried with; the app itself may have more


class NoStack(Exception):
    """A server that the stack needs cannot be had here; the message says why."""


@contextmanager
def embedded(folder: Path, say) -> Generator[tuple[dict, dict]]:
    """Yield settings and variables for one process and one file."""
    yield {"store": f"sqlite:{folder / 'embedded.db'}"}, {}


@contextmanager
def kafka_stack(folder: Path, say) -> Generator[tuple[dict, dict]]:
    """Start Kafka, Redis and Milvus, and yield the settings that name them."""
    for name in ("brokers", "milvus", "moto"):
        sys.path.insert(0, str(SERVICES / name))
    import pytest

    try:
        from kafka_server import required_kafka
        from milvus_server import required_milvus
        from redis_server import required_redis
    except ImportError as error:
        raise NoStack(f"{error}: run `make setup` first") from error
    with ExitStack() as servers:
        try:
            say("starting Kafka")
            kafka = servers.enter_context(required_kafka())
            say("starting Redis")
            redis = servers.enter_context(required_redis())
            say("starting Milvus")
            milvus = servers.enter_context(required_milvus())
        except (pytest.skip.Exception, pytest.fail.Exception) as error:
            raise NoStack(str(error)) from error
        settings = {
            "log": f"{kafka.address}?partitions={PARTITIONS}",
            "store": f"sqlite:{folder / 'state.db'}",
            "vectors": f"{milvus}?index=FLAT",
        }
        yield settings, {"ENRICHMENT_REDIS": redis.address}


STACKS = {"embedded": embedded, "kafka-flink-ray": kafka_stack}
