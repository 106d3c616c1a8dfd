"""What the door of a job says, from what Flink answers: its state, lag, restarts and checkpoints. Real ones: `make flink`."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from penstock.cli.flink_watching import watching_job
from penstock.cli.watching import WatchDoor
from penstock.core.telemetry.meters import exposition
from penstock.errors import Refused, Unavailable
from penstock.flink.looking import JobSeen

JOB = "a6b3"
LAGS = ["0.penstock_source.KafkaSourceReader.topic.x", "0.Source__penstock_source.pendingRecords"]
SAID = {
    f"/jobs/{JOB}": {
        "jid": JOB,
        "state": "RUNNING",
        "duration": 12_500,
        "now": 100_000,
        "vertices": [{"id": "v1", "name": "Source: penstock_source[1] -> events"}, {"id": "v2", "name": "shop"}],
    },
    f"/jobs/{JOB}/checkpoints": {
        "counts": {"completed": 20, "failed": 1, "in_progress": 1},
        "latest": {"completed": {"end_to_end_duration": 250, "state_size": 4096, "latest_ack_timestamp": 99_000}},
    },
    f"/jobs/{JOB}/metrics?get=numRestarts": [{"id": "numRestarts", "value": "2"}],
    f"/jobs/{JOB}/vertices/v1/subtasks/metrics": [{"id": each} for each in LAGS],
    f"/jobs/{JOB}/vertices/v1/subtasks/metrics?get={LAGS[1]}&agg=sum": [{"id": LAGS[1], "sum": 321.0}],
}


@contextmanager
def answering(said: dict[str, object]) -> Iterator[int]:
    """Answer as Flink's REST interface does, and yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = said.get(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def figures(text: str) -> dict[str, float]:
    rows = [each.rsplit(" ", 1) for each in text.splitlines() if not each.startswith("#")]
    return {name: float(value) for name, value in rows}


def test_what_flink_says_of_a_job_is_told_as_metrics():
    with answering(SAID) as port:
        found = figures(exposition(JobSeen("127.0.0.1", port, JOB).families()))
    assert found == {
        "penstock_up": 1,
        'penstock_job_state{state="RUNNING"}': 1,
        "penstock_job_age_seconds": 12.5,
        "penstock_job_restarts_total": 2,
        "penstock_job_lag_events": 321,
        'penstock_job_checkpoints_total{outcome="completed"}': 20,
        'penstock_job_checkpoints_total{outcome="failed"}': 1,
        "penstock_job_checkpoint_seconds": 0.25,
        "penstock_job_checkpoint_bytes": 4096,
        "penstock_job_checkpoint_age_seconds": 1,
    }


def test_what_flink_does_not_say_yet_is_left_out():
    with answering({f"/jobs/{JOB}": {"state": "CREATED"}, f"/jobs/{JOB}/checkpoints": {}, **_no_metrics()}) as port:
        found = figures(exposition(JobSeen("127.0.0.1", port, JOB).families()))
    assert found["penstock_up"] == 0
    assert "penstock_job_lag_events" not in found
    assert "penstock_job_checkpoint_seconds" not in found


def _no_metrics() -> dict[str, object]:
    return {f"/jobs/{JOB}/metrics?get=numRestarts": []}


@pytest.mark.parametrize("said", [{}, {f"/jobs/{JOB}": b"<html>"}])
def test_a_flink_that_says_nothing_sensible_is_unavailable(said):
    with answering(said) as port, pytest.raises(Unavailable, match="Flink"):
        JobSeen("127.0.0.1", port, JOB).families()


def test_the_door_of_a_job_says_how_it_does_while_it_begins_runs_and_ends():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at = f"http://127.0.0.1:{port}"
    with answering(SAID) as rest, watching_job("shop", WatchDoor("127.0.0.1", port)) as watched:
        assert httpx2.get(f"{at}/healthz").json() == {"status": "ok", "app": "shop"}
        assert "not taken the job yet" in httpx2.get(f"{at}/readyz").json()["reason"]
        assert figures(httpx2.get(f"{at}/metrics").text)["penstock_up"] == 0
        watched.show(JobSeen("127.0.0.1", rest, JOB))
        assert httpx2.get(f"{at}/readyz").status_code == 200
        assert figures(httpx2.get(f"{at}/metrics").text)["penstock_job_lag_events"] == 321
        watched.show(JobSeen("127.0.0.1", rest, "gone"))
        assert httpx2.get(f"{at}/readyz").status_code == 503
        assert figures(httpx2.get(f"{at}/metrics").text)["penstock_up"] == 0
        watched.show(None)
        assert httpx2.get(f"{at}/readyz").json()["reason"] == "it was asked to end"
        with (
            pytest.raises(Refused, match="--metrics"),
            watching_job("shop", WatchDoor("127.0.0.1", port)),
        ):
            pass
