"""How a job does, as Flink's REST interface says it: its state, what it has still to read, its restarts and checkpoints.

Asked for by whoever looks, and by nobody else: a few requests to this machine, each bounded in time and size.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, cast
from urllib.parse import quote

from penstock.core.telemetry.meters import Family, counter, gauge
from penstock.errors import Unavailable

ANSWERS_S = 2.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
NAMES_MAX = 200  # metrics that are asked for at once: they stand in the address
SOURCE = "penstock_source"  # the table that the job reads
WAITING = "pendingRecords"
RESTARTS = "numRestarts"
RUNS = "RUNNING"


class JobSeen:
    """One job of a Flink that this machine reaches. `since_ms`: when it began is told by Flink."""

    def __init__(self, host: str, port: int, job: str) -> None:
        self._host = host
        self._port = port
        self._path = f"/jobs/{quote(job, safe='')}"

    def state(self) -> str:
        """Return the state of the job, in Flink's words; `Unavailable` when Flink does not answer."""
        return str(self._asked("").get("state", ""))

    def families(self) -> list[Family]:
        """Return what is known of the job; `Unavailable` when Flink does not answer."""
        job, checkpoints = self._asked(""), self._asked("/checkpoints")
        state = str(job.get("state", ""))
        return [
            gauge("penstock_up", "Whether the job runs.", (), [((), float(state == RUNS))]),
            gauge("penstock_job_state", "The state of the job, in Flink's words.", ("state",), [((state,), 1.0)]),
            gauge("penstock_job_age_seconds", "How long ago the job began.", (), [((), _seconds(job, "duration"))]),
            *self._restarts(),
            *self._waiting(job),
            *_of_checkpoints(checkpoints, _number(job.get("now"))),
        ]

    def _restarts(self) -> Iterator[Family]:
        found = self._metrics("/metrics", [RESTARTS])
        if RESTARTS in found:
            what = "How often the job went on from a checkpoint by itself."
            yield counter("penstock_job_restarts_total", what, (), [((), found[RESTARTS])])

    def _waiting(self, job: Mapping[str, Any]) -> Iterator[Family]:
        """Yield how many messages the sources have still to read; nothing while they do not say it."""
        total, is_said = 0.0, False
        for each in _objects(job.get("vertices")):
            if SOURCE not in str(each.get("name", "")):
                continue
            path = f"/vertices/{quote(str(each.get('id', '')), safe='')}/subtasks/metrics"
            names = [name for row in self._list(path) if (name := str(row.get("id", ""))).endswith(WAITING)]
            for first in range(0, len(names), NAMES_MAX):
                found = self._metrics(path, names[first : first + NAMES_MAX], agg="sum")
                total += sum(found.values())
                is_said = is_said or bool(found)
        if is_said:
            what = "Messages in Kafka that the job has still to read, of the partitions that it reads."
            yield gauge("penstock_job_lag_events", what, (), [((), total)])

    def _metrics(self, path: str, names: Sequence[str], *, agg: str = "") -> dict[str, float]:
        """Return metrics that Flink has, by name."""
        asked = f"{path}?get={','.join(quote(each, safe='') for each in names)}{f'&agg={agg}' if agg else ''}"
        return {str(each.get("id")): _number(each.get(agg or "value")) for each in self._list(asked)}

    def _list(self, path: str) -> list[dict[str, Any]]:
        return _objects(self._answer(path))

    def _asked(self, path: str) -> dict[str, Any]:
        return _object(self._answer(path))

    def _answer(self, path: str) -> Any:
        connection = HTTPConnection(self._host, self._port, timeout=ANSWERS_S)
        try:
            connection.request("GET", self._path + path, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read(ANSWER_BYTES_MAX + 1)
        except (OSError, HTTPException) as error:
            raise Unavailable("Flink", "say how the job does", str(error)) from error
        finally:
            connection.close()
        if answer.status != 200 or len(body) > ANSWER_BYTES_MAX:  # noqa: PLR2004 - OK
            raise Unavailable("Flink", "say how the job does", f"HTTP {answer.status}, {len(body)} bytes")
        try:
            return json.loads(body)
        except ValueError as error:
            raise Unavailable("Flink", "say how the job does", "what it says is no JSON") from error


def _of_checkpoints(said: Mapping[str, Any], now_ms: float) -> Iterator[Family]:
    counts, latest = _object(said.get("counts")), _object(_object(said.get("latest")).get("completed"))
    ended = [((each,), _number(counts.get(each))) for each in ("completed", "failed")]
    yield counter("penstock_job_checkpoints_total", "Checkpoints, by how they ended.", ("outcome",), ended)
    if not latest:
        return
    took, size = _seconds(latest, "end_to_end_duration"), _number(latest.get("state_size"))
    yield gauge("penstock_job_checkpoint_seconds", "How long the last whole checkpoint took.", (), [((), took)])
    yield gauge("penstock_job_checkpoint_bytes", "What the last whole checkpoint holds.", (), [((), size)])
    age_s = max(0.0, now_ms - _number(latest.get("latest_ack_timestamp"))) / 1000
    yield gauge("penstock_job_checkpoint_age_seconds", "How old the last whole checkpoint is.", (), [((), age_s)])


def _object(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _objects(found: object) -> list[dict[str, Any]]:
    return [_object(each) for each in cast("list[Any]", found)] if isinstance(found, list) else []


def _seconds(said: Mapping[str, Any], name: str) -> float:
    return max(0.0, _number(said.get(name))) / 1000


def _number(found: object) -> float:
    """Return a number, which Flink writes as text in metrics."""
    try:
        return float(found)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
