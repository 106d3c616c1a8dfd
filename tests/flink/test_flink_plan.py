"""What a job is made of: topics, Kafka's client in Java, options, checkpoints, and what is refused before anything runs."""

import os
from pathlib import Path

import pytest
from keyed_driver import envelope
from shop_on_flink import Ordered, app
from test_streams_on_turns import plant

from penstock.adapters.kafka.java_client import java_properties
from penstock.errors import Invalid, Missing
from penstock.flink.keyed_turns import Kept
from penstock.flink.plan import JobOptions, connector_jars, newest_checkpoint, plan_of
from penstock.flink.subtask import Subtask
from penstock.settings import Settings

KAFKA = Settings(log="kafka://k1:9092,k2:9092?partitions=6&prefix=eu.&group=g")


def test_a_plan_names_the_topics_of_the_app_and_how_kafka_is_spoken_to():
    plan = plan_of(app.declared, Path("shop.py"), KAFKA, JobOptions())
    assert plan.sources == {"ordered": Ordered.type_}
    assert plan.sinks == ("counted", "ordered", "shop-dead-letters", "shop-marks")
    assert (plan.prefix, plan.group) == ("eu.", "g-shop")
    assert plan.kafka == {"bootstrap.servers": "k1:9092,k2:9092"}
    assert plan.without_secrets().kafka == {}


def test_what_goes_between_the_stages_of_streams_is_read_and_written():
    plan = plan_of(plant().declared, Path("plant.py"), KAFKA, JobOptions())
    inner = [topic for topic in plan.sources if topic.startswith("penstock-stream")]
    assert inner
    assert set(plan.sources) <= set(plan.sinks)


def test_all_that_is_wrong_with_a_job_is_said_at_once():
    options = JobOptions(parallelism=0, checkpoint_every_ms=1, out_of_order_s=-1, late_after_s=-1)
    with pytest.raises(Invalid) as caught:
        plan_of(app.declared, Path("shop.py"), Settings(log="nats://x:1"), options)
    assert [each.path for each in caught.value.findings] == [
        "--parallelism",
        "--checkpoint-every-ms",
        "--out-of-order-s",
        "--late-after-s",
        "log",
    ]


def test_credentials_are_said_in_the_words_of_the_client_in_java():
    said = java_properties(
        {
            "bootstrap.servers": "k:9092",
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": 'a"b',
            "sasl.password": "c\\d",
            "ssl.ca.location": "/ca.pem",
        }
    )
    assert said["sasl.mechanism"] == "SCRAM-SHA-512"
    assert said["sasl.jaas.config"].endswith('.scram.ScramLoginModule required username="a\\"b" password="c\\\\d";')
    assert (said["ssl.truststore.type"], said["ssl.truststore.location"]) == ("PEM", "/ca.pem")
    with pytest.raises(Invalid) as caught:
        java_properties({"queue.buffering.max.ms": "5", "sasl.username": "u", "sasl.mechanism": "GSSAPI"})
    assert len(caught.value.findings) == 2


def test_a_run_goes_on_from_the_newest_whole_checkpoint(tmp_path):
    assert newest_checkpoint(str(tmp_path)) == ""
    for at_s, name in enumerate(("job1/chk-9", "savepoint-1", "job2/chk-2", "job2/chk-10")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "_metadata").touch()
        os.utime(tmp_path / name / "_metadata", (at_s, at_s))
    (tmp_path / "job2" / "chk-11").mkdir()  # it was under way
    assert newest_checkpoint(str(tmp_path)) == str(tmp_path / "job2" / "chk-10")


def test_the_connector_is_asked_for_by_its_name(tmp_path):
    jar = tmp_path / "connector.jar"
    jar.touch()
    assert connector_jars(JobOptions(), {"PENSTOCK_FLINK_JARS": str(jar)}) == [jar]
    with pytest.raises(Invalid, match="does not exist"):
        connector_jars(JobOptions(jars=str(tmp_path / "gone.jar")), {})
    with pytest.raises(Missing, match="flink-sql-connector-kafka"):
        connector_jars(JobOptions(), {})


def test_a_subtask_takes_turns_for_a_thread_without_a_loop():
    subtask = Subtask(app.declared, Settings())
    subtask.start()
    try:
        turn = subtask.handled("ordered", envelope(Ordered(customer="a", number=4), "e1"), Kept())
        while not turn.is_done:  # it was slow: it is looked at again, as Flink's timer would
            turn = subtask.look("k7/default/a", turn.over(Kept()))
        assert [topic for topic, _ in turn.sendings] == ["counted"]
    finally:
        subtask.stop()


def test_a_subtask_says_why_it_cannot_begin():
    wrong = plant()

    @wrong.workflow
    async def waits(order: Ordered) -> None: ...

    subtask = Subtask(wrong.declared, Settings())
    with pytest.raises(Invalid, match="waits"):
        subtask.start()
