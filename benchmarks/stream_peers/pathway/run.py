"""Stream enrichment on Pathway: its own windows over a static table, no persistence."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pathway as pw
from stream_work import embedded, messages, now_s, prepared, told

count = int(sys.argv[1])
out, counted = [], []


class Message(pw.Schema):
    session_id: str
    message: str
    at_ms: int


class Source(pw.io.python.ConnectorSubject):
    def run(self) -> None:
        for each in messages(count):
            self.next(**each)


@pw.udf
def enrich(session_id: str, message: str, at_ms: int) -> pw.Json:
    return pw.Json(prepared({"session_id": session_id, "message": message, "at_ms": at_ms}))


@pw.udf(max_batch_size=64)
def embed(texts: list[str]) -> list[list[float]]:
    return embedded(texts)


raw = pw.io.python.read(Source(), schema=Message)
clean = raw.select(raw.session_id, raw.at_ms, request=enrich(raw.session_id, raw.message, raw.at_ms))
clean = clean.with_columns(text=clean.request["text"].as_str(unwrap=True))
vectors = clean.with_columns(vector=embed(clean.text))
windows = clean.windowby(clean.at_ms, window=pw.temporal.tumbling(duration=60_000), instance=clean.session_id).reduce(
    session=pw.this._pw_instance, start=pw.this._pw_window_start, number=pw.reducers.count()
)
last: dict = {}


def on_vector(key, row, time, is_addition) -> None:  # noqa: ARG001 - as it is called
    if is_addition:
        out.append(row["text"])


def on_window(key, row, time, is_addition) -> None:  # noqa: ARG001 - as it is called
    if is_addition:
        last[row["session"], row["start"]] = row["number"]


pw.io.subscribe(vectors, on_vector)
pw.io.subscribe(windows, on_window)
began_s = now_s()
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
took_s = now_s() - began_s
told(count, took_s, out, [(session, start, number) for (session, start), number in last.items()])
