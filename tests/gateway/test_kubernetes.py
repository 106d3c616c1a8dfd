"""The manifests fit the server that they start: its probes, its port, its labels, the time that it has to end."""

from pathlib import Path

import httpx2
import pytest
import yaml

from penstock import App
from penstock.cli.serving import GRACE_S as REQUESTS_S
from penstock.gateway import web_app
from penstock.runtime.engine import GRACE_S

FILE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "penstock.yaml"


@pytest.fixture
def parts():
    return {each["kind"]: each for each in yaml.safe_load_all(FILE.read_text())}


def container(parts):
    (only,) = parts["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


def test_all_parts_speak_of_the_same_pods(parts):
    assert set(parts) == {"Service", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    labels = parts["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert parts["Service"]["spec"]["selector"] == labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert parts[kind]["spec"]["selector"]["matchLabels"] == labels
    target = parts["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", parts["Deployment"]["metadata"]["name"])


def test_the_command_listens_where_the_probes_ask(parts):
    command, (port,) = container(parts)["command"], container(parts)["ports"]
    assert command[command.index("--port") + 1] == str(port["containerPort"])
    assert command[command.index("--host") + 1] == "0.0.0.0"


async def test_the_probes_ask_what_the_server_answers(parts):
    paths = {container(parts)[f"{each}Probe"]["httpGet"]["path"] for each in ("startup", "readiness", "liveness")}
    paths.add(parts["Deployment"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"])
    async with App("probed").running(store="memory:") as live:
        transport = httpx2.ASGITransport(app=web_app(live))
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
            for path in paths:
                assert (await client.get(path)).status_code == 200, path


def test_a_pod_has_the_time_to_end_as_it_should(parts):
    assert parts["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > REQUESTS_S + GRACE_S + 10
