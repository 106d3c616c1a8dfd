"""What an app says at /metrics is what it did; the rules and the dashboard ask for metrics that there are; and alerts fire."""

import asyncio
import json
import re
import socket
import subprocess
from pathlib import Path

import httpx2
import pytest
from prometheus_server import promtool, required_prometheus

from penstock import App, Context, Event, Passage, Retry
from penstock.errors import Unavailable
from penstock.gateway.web import web_app
from penstock.runtime.measuring import measured

PLACE = Path(__file__).parents[2] / "observability"
OF_OTHERS = {"flink_jobmanager_job_lastCheckpointDuration"}
_NAME = re.compile(r"\b(?:penstock|process|flink)_[a-zA-Z_]+\b")


class Job(Event, key="who"):
    who: str
    fails: bool = False


class Broken:
    """An embedder that answers nothing, once it is told to."""

    name, dims = "broken", 4

    def __init__(self):
        self.works = True

    async def embed(self, texts, *, purpose="passage"):
        import numpy as np

        if not self.works:
            raise Unavailable("the embedder", "embed")
        return np.ones((len(texts), 4), np.float32) / 2


def workshop(embedder):
    app = App("workshop")
    books = app.knowledge("books")
    app.embedder("one", embedder)

    @app.agent(retry=Retry(attempts_max=2, delay_s=0.001))
    async def work(job: Job, ctx: Context) -> str:
        if job.fails:
            raise RuntimeError("it fails")
        reply = await ctx.model().ask("What drives the wheel?")
        return f"{len(await books.search('water'))} {reply.text}"

    return app


def client_of(live):
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(web_app(live)), base_url="http://app")


async def figures(client):
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}, answer.text


async def test_metrics_say_what_was_done_and_pass_promtool():
    async with workshop(Broken()).running(store="memory:", embedder="one") as live, client_of(live) as client:
        await live.knowledge("books").put(
            [Passage("a", "water drives it"), Passage("b", "it rains")], consistency="strong"
        )
        for number in range(3):
            await live.call("work", Job(who=f"w{number}"))
        await live.send(Job(who="bad", fails=True))
        await live.engine.until(live.dead_letters, bool)
        found, text = await figures(client)
        assert found['penstock_lag_events{topic="job",partition="0",agent="work"}'] == 0
        assert found['penstock_handled_events_total{topic="job",partition="0",agent="work"}'] == 4
        assert found['penstock_retries_total{agent="work"}'] == 1
        assert found['penstock_given_up_total{agent="work",status="failed"}'] == 1
        assert found['penstock_search_seconds_count{collection="books"}'] == 3
        assert found['penstock_vector_query_seconds_count{collection="books"}'] >= 1
        assert found['penstock_indexed_passages_total{collection="books",what="embedded"}'] == 2
        assert found['penstock_embedding_seconds_count{embedder="broken"}'] >= 2
        assert found["penstock_commit_seconds_count"] == found["penstock_commit_units_count"] > 3
        assert found["penstock_up"] == 1
        assert sum(value for name, value in found.items() if name.startswith("penstock_model_call_seconds_count")) == 3
        assert found["process_cpu_seconds_total"] > 0
    checked = await asyncio.to_thread(ran, "check", "metrics", input=text)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def ran(*arguments, **options):
    command = [promtool(), *arguments]
    return subprocess.run(command, cwd=PLACE, capture_output=True, text=True, timeout=60, check=False, **options)


async def known():
    async with workshop(Broken()).running(store="memory:", embedder="one") as live:
        families = await measured(live.engine)
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    return OF_OTHERS | {each.name + suffix for each in families for suffix in suffixes.get(each.kind, ("",))}


def asked_by_the_dashboard():
    board = json.loads((PLACE / "dashboard.json").read_text())
    return {target["expr"] for panel in board["panels"] for target in panel.get("targets", ())}


async def test_rules_and_dashboard_ask_for_metrics_that_there_are():
    there = await known()
    rules = "\n".join(line for line in (PLACE / "penstock.rules.yml").read_text().splitlines() if "alert" not in line)
    for text in (rules, *asked_by_the_dashboard()):
        assert set(_NAME.findall(text)) - there == set()
    assert {name for name in there if name.endswith(("_total", "_bucket"))} <= {
        *_NAME.findall(rules),
        *(name for text in asked_by_the_dashboard() for name in _NAME.findall(text)),
        "penstock_commit_units_bucket",
    }, "a metric that nobody looks at"


def test_the_dashboard_is_one_that_grafana_reads():
    board = json.loads((PLACE / "dashboard.json").read_text())
    assert {"title", "uid", "schemaVersion", "panels", "time", "templating"} <= board.keys()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"]
            assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "penstock.rules.yml"), ("test", "rules", "penstock.rules.test.yml")]
)
def test_the_rules_hold_what_they_say(arguments):
    done = ran(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried():
    alerts = set(re.findall(r"alert: (\w+)", (PLACE / "penstock.rules.yml").read_text()))
    assert alerts == set(re.findall(r"alertname: (\w+)", (PLACE / "penstock.rules.test.yml").read_text()))


@pytest.mark.timeout(120)
async def test_a_real_prometheus_fires_when_events_wait_and_an_embedder_fails():
    import uvicorn

    embedder = Broken()
    async with workshop(embedder).running(store="memory:", embedder="one") as live:
        embedder.works = False
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(web_app(live), log_level="error"))
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        # As they are, but for how long something must last: nobody waits minutes for a test.
        rules = re.sub(r"for: \w+", "for: 0s", (PLACE / "penstock.rules.yml").read_text())
        many = [Passage(f"p{number}", "water") for number in range(5_100)]
        for _ in range(2):
            await live.knowledge("books").put(many, consistency="bulk")

        def watched():
            with required_prometheus(f"127.0.0.1:{listening.getsockname()[1]}", rules) as prometheus:
                firing = prometheus.fired("PenstockLag", "PenstockEmbeddingErrors")
                return firing, prometheus.query("penstock_up")

        try:
            firing, (up,) = await asyncio.to_thread(watched)
        finally:
            embedder.works = True
            server.should_exit = True
            await serving
        assert firing["PenstockLag"]["agent"] == "indexer"
        assert firing["PenstockEmbeddingErrors"]["embedder"] == "broken"
        assert "PenstockDown" not in firing
        assert up["value"][1] == "1"
