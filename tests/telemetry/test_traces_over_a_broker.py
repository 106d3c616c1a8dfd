"""One trace over a real broker and a worker that is killed: processes that know nothing of each other send it, as OTLP."""

import os
import secrets
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from otlp_receiver import receiving_http
from redis_server import required_redis
from spans_seen import FAR, FAR_TRACE

from penstock.core.telemetry.spans import span_id_of

APP = Path(__file__).parent / "carried.py"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="session")
def redis():
    with required_redis() as server:
        yield server


@contextmanager
def serving(environment, cwd):
    command = [sys.executable, "-m", "penstock.cli", "serve", str(APP), "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def url_of(process):
    import json

    return json.loads(process.stdout.readline())["url"]


def test_one_trace_over_a_broker_a_kill_and_a_wait_into_a_model(redis, tmp_path):
    with receiving_http() as received:
        environment = {
            **os.environ,
            "CARRIED_NOTES": str(tmp_path / "notes.txt"),
            "PENSTOCK_STORE": f"sqlite:{tmp_path / 'carried.db'}",
            "PENSTOCK_LOG": f"{redis.address}?partitions=2&prefix=t{secrets.token_hex(6)}-",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.address,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with serving(environment, tmp_path) as first:
            url = url_of(first)
            headers = {"traceparent": FAR, "idempotency-key": "one"}
            with pytest.raises(httpx2.TransportError):
                httpx2.post(f"{url}/v1/agents/plan?wait_s=60", json={"who": "ada"}, headers=headers, timeout=60)
            assert first.wait(30) == -9
        with serving(environment, tmp_path) as second:
            url, until = url_of(second), time.monotonic() + 60
            found = {}
            while found.get("status") != "succeeded" and time.monotonic() < until:
                answer = httpx2.get(f"{url}/v1/runs?agent=carry", timeout=10)
                found = next(iter(answer.json()["runs"]), {})
            assert found.get("status") == "succeeded", found
            spans = received.named("end_workflow carry", "publish done", within_s=30)
    mine = [each for each in spans if each.trace == f"{FAR_TRACE:032x}"]
    names = {each.name for each in mine}
    assert names >= {  # of the second process: what the killed one had not sent yet, such as "send asked", is lost
        "process plan",
        "step look",
        "publish planned",
        "receive planned",
        "invoke_workflow carry",
        "wait sleep",
        "step search:books",
        "search books",
        "query books",
        "step ask:text",
        "end_workflow carry",
        "publish done",
    }
    assert any(each.name.startswith("chat ") and each.attributes["gen_ai.operation.name"] == "chat" for each in mine)
    (again,) = [each for each in mine if each.name == "process plan"]  # that of the killed one never ended
    assert again.links == [(again.trace, f"{span_id_of('one:plan'):016x}")]
    (published,) = [each for each in mine if each.name == "publish planned"]
    assert published.attributes["messaging.system"] == "redis"
    assert published.parent == again.span
    assert {each.service for each in mine} == {"carried"}
    assert "ada" not in str(mine)
