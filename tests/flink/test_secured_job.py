"""A real job over a Kafka that asks for a certificate, and for a password over TLS; its operators are traced. `make flink`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flink_installed import Flink, traces_of
from flink_job import Job
from flink_runs import by_key, orders
from job_topics import Topics
from otlp_receiver import receiving_http
from secure_kafka import PLAIN, SECRET, SecureKafka, secure_kafka

APP = Path(__file__).with_name("shop_on_flink.py")
COUNT, KEYS = 60, 6
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        os.environ.get("PENSTOCK_FLINK") != "1", reason="NOT TESTED ON FLINK: it takes a minute, run `make flink`"
    ),
]


@pytest.fixture(scope="module")
def secured() -> Iterator[SecureKafka]:
    with secure_kafka() as server:
        yield server


def test_a_job_shows_its_certificate_of_two_files_and_its_operators_are_traced(
    flink: Flink, secured: SecureKafka, tmp_path: Path
) -> None:
    worker, ca = secured.authority.signed("worker"), secured.authority.ca
    files = f"ssl.ca.location={ca}&ssl.certificate.location={worker.certificate}&ssl.key.location={worker.key}"
    with receiving_http() as received:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.address, "OTEL_BSP_SCHEDULE_DELAY": "500"}
        found = _handled(flink, secured, f"127.0.0.1:{secured.mutual}?{files}&prefix=two.", tmp_path, "two.", traced)
        spans = received.named("process count", "step double", within_s=60)
    assert len(found) == KEYS
    assert {each.service for each in spans} == {"shop"}
    assert len({each.trace for each in spans if each.name == "process count"}) >= COUNT // 2


def test_a_job_shows_its_certificate_of_one_file(flink: Flink, secured: SecureKafka, tmp_path: Path) -> None:
    both, ca = secured.authority.signed("worker").both, secured.authority.ca
    files = f"ssl.ca.location={ca}&ssl.certificate.location={both}&ssl.key.location={both}"
    assert len(_handled(flink, secured, f"127.0.0.1:{secured.mutual}?{files}&prefix=one.", tmp_path, "one.")) == KEYS


def test_a_job_shows_its_password(flink: Flink, secured: SecureKafka, tmp_path: Path) -> None:
    ca, login = secured.authority.ca, {"KAFKA_USERNAME": PLAIN, "KAFKA_PASSWORD": SECRET}
    where = f"127.0.0.1:{secured.sasl}?ssl.ca.location={ca}&prefix=word."
    assert len(_handled(flink, secured, where, tmp_path, "word.", login)) == KEYS


def _handled(
    flink: Flink,
    secured: SecureKafka,
    where: str,
    folder: Path,
    prefix: str,
    environment: dict[str, str] | None = None,
) -> dict[str, list[tuple[str, dict[str, object]]]]:
    """Run a job of the shop, and return what it emits, by key, once all is there."""
    topics = Topics(f"127.0.0.1:{secured.plain}")
    job = Job(flink, APP, f"kafka://{where}&partitions=2", folder, environment=traces_of(flink) | (environment or {}))
    job.start()
    try:
        topics.publish(f"{prefix}ordered", orders(COUNT, KEYS))
        found = topics.committed(f"{prefix}counted", COUNT, 90)
        assert len(found) == COUNT, job.said[-2000:]
        assert SECRET not in job.said
        assert "PRIVATE KEY" not in job.said
        assert job.stop() == 0
        return by_key("counted", found)
    finally:
        job.kill()
