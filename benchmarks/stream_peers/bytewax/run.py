"""Stream enrichment on bytewax: windows of event time with its own operators, no recovery store."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing as win
from bytewax.testing import TestingSink, TestingSource, run_main
from stream_work import embedded, messages, now_s, prepared, told

count = int(sys.argv[1])
out, counted = [], []
flow = Dataflow("enrichment")
source = op.input("raw", flow, TestingSource(messages(count), batch_size=64))
clean = op.map("prepare", source, prepared)
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


def embed(batch: list[dict]) -> list[dict]:
    return [
        {**each, "vector": vector}
        for each, vector in zip(batch, embedded([each["text"] for each in batch]), strict=True)
    ]


vectors = op.flat_map_batch("embed", clean, embed)
op.output("enriched", vectors, TestingSink(out))
keyed = op.key_on("session", vectors, lambda each: each["session_id"])
clock = win.EventClock(
    lambda each: datetime.fromtimestamp(each["at_ms"] / 1000, UTC), wait_for_system_duration=timedelta(seconds=0)
)
windows = win.TumblingWindower(length=timedelta(minutes=1), align_to=BEGIN)
counts = win.count_window("count", clean, clock, windows, lambda each: each["session_id"])
op.output("counted", counts.down, TestingSink(counted))
began_s = now_s()
run_main(flow)
took_s = now_s() - began_s
begin_ms = int(BEGIN.timestamp() * 1000)
told(
    count,
    took_s,
    [each["text"] for each in out],
    [(key, begin_ms + window * 60_000, number) for key, (window, number) in counted],
)
