"""Between topics of a real Kafka without a store: exactly once over a SIGKILL, for all who read what is committed."""

import asyncio
import json
import os
import secrets
import signal
import sys
import time

import pytest
from confluent_kafka import Consumer, Producer
from typer.testing import CliRunner

from penstock.adapters.kafka.broker import open_kafka
from penstock.cli import app as command_line

pytestmark = pytest.mark.timeout(120)  # a JVM starts
APP = """
from penstock import App, Event

class Asked(Event, key="who", topic="asked"):
    who: str
    number: int

class Echoed(Event, key="who", topic="echoed"):
    who: str
    number: int

app = App("echo")

@app.agent
async def echo(asked: Asked) -> Echoed:
    if asked.number == 13:
        raise ValueError("unlucky")
    return Echoed(who=asked.who, number=asked.number)
"""
COUNT, PARTITIONS = 1200, 4
WITHIN_S = 50


def ask(hosts, topic, numbers):
    producer = Producer({"bootstrap.servers": hosts})
    for number in numbers:
        value = json.dumps({"who": f"w{number % 7}", "number": number}).encode()
        producer.produce(topic, value, f"w{number % 7}".encode(), number % 7 % PARTITIONS)
    assert producer.flush(20) == 0


def committed(hosts, topic, count, *, more_s=1.0):
    """Return what is committed, once there is so much of it, and nothing more comes."""
    settings = {"bootstrap.servers": hosts, "group.id": secrets.token_hex(6), "auto.offset.reset": "earliest"}
    consumer, found, silent = Consumer(settings | {"isolation.level": "read_committed"}), [], 0.0
    consumer.subscribe([topic])
    until_s = time.monotonic() + WITHIN_S
    while time.monotonic() < until_s:
        message = consumer.poll(0.1)
        silent = silent + 0.1 if message is None else 0.0
        if message is not None and message.error() is None:
            found.append(message)
        if len(found) >= count and silent >= more_s:
            break
    consumer.close()
    return found


async def member(path, log):
    command = [sys.executable, "-m", "penstock.cli", "relay", str(path), "--log", log]
    return await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=os.environ)


@pytest.mark.parametrize("options", ["", "&group.protocol=classic&session.timeout.ms=6000"])
async def test_each_message_counts_once_though_a_member_of_the_group_is_killed(kafka, tmp_path, options):
    prefix = f"p{secrets.token_hex(6)}-"
    log = f"{kafka.address}?partitions={PARTITIONS}&prefix={prefix}{options}"
    (tmp_path / "echo.py").write_text(APP)
    async with open_kafka(f"{kafka.address}?prefix={prefix}") as broker:
        await broker.require(["asked", "echoed", "echo-dead-letters"], PARTITIONS)
    members = [await member(tmp_path / "echo.py", log) for _ in range(2)]
    try:
        await asyncio.to_thread(ask, kafka.hosts, f"{prefix}asked", range(COUNT // 3))
        await asyncio.to_thread(committed, kafka.hosts, f"{prefix}echoed", COUNT // 6, more_s=0.0)
        await asyncio.to_thread(ask, kafka.hosts, f"{prefix}asked", range(COUNT // 3, COUNT))
        members[0].send_signal(signal.SIGKILL)
        found = await asyncio.to_thread(committed, kafka.hosts, f"{prefix}echoed", COUNT - 1)
        dead = await asyncio.to_thread(committed, kafka.hosts, f"{prefix}echo-dead-letters", 1)
    finally:
        for each in members:
            if each.returncode is None:
                each.send_signal(signal.SIGTERM)
        said = [(await each.communicate())[1].decode() for each in members]
    numbers = [json.loads(each.value())["number"] for each in found]
    assert sorted(numbers) == [each for each in range(COUNT) if each != 13], said
    for who in range(7):
        mine = [each for each in numbers if each % 7 == who]
        assert mine == sorted(mine)
    assert [json.loads(each.value())["number"] for each in dead] == [13]
    assert "messages were taken" in said[1]


def test_what_has_no_transactions_or_needs_a_store_is_refused(tmp_path):
    (tmp_path / "echo.py").write_text(APP)
    for log in ("nats://127.0.0.1:1", "", "kafka://127.0.0.1:1?format=avro&registry=http://127.0.0.1:1"):
        result = CliRunner().invoke(command_line, ["relay", str(tmp_path / "echo.py"), "--log", log])
        assert result.exit_code != 0
        assert "log: " in result.output + result.stderr
    (tmp_path / "needy.py").write_text(
        APP.replace("asked: Asked)", "asked: Asked, ctx: Context)").replace("App, ", "App, Context, ")
        + "app.knowledge('k')\n"
    )
    result = CliRunner().invoke(command_line, ["relay", str(tmp_path / "needy.py"), "--log", "kafka://127.0.0.1:1"])
    assert "agent 'echo': takes a Context" in result.output + result.stderr
    assert "knowledge 'k': is kept in the app's store" in result.output + result.stderr
