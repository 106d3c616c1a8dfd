"""The manifests fit Kubernetes' own schemas, and what they start: its probes, its ports, its metrics, the time that it has to end."""

import json
import re
import subprocess
from copy import deepcopy
from pathlib import Path

import httpx2
import jsonschema
import kubernetes_validate
import pytest
import yaml
from prometheus_server import promtool

from penstock import App
from penstock.cli.arguments import Metrics
from penstock.cli.serving import GRACE_S as REQUESTS_S
from penstock.cli.supervising import STOP_S
from penstock.cli.watching import watch_door
from penstock.gateway import web_app
from penstock.gateway.probes import Watched, probes_app
from penstock.runtime.engine import GRACE_S

PLACE = Path(__file__).parents[2] / "deploy" / "kubernetes"
SCALED = json.loads((Path(__file__).parent / "scaledobject.schema.json").read_text())
FILES = sorted(PLACE.glob("*.yaml"))
VERSIONS = ("1.31", "1.35")
DEPLOYED = ["penstock.yaml", "workers.yaml"]


def documents(name):
    return list(yaml.safe_load_all((PLACE / name).read_text()))


def parts(name):
    return {each["kind"]: each for each in documents(name)}


def pod(name):
    return parts(name)["Deployment"]["spec"]["template"]


def container(name):
    (only,) = pod(name)["spec"]["containers"]
    return only


def option(command, name):
    return command[command.index(name) + 1]


def check_scaled(document):
    """Raise what is wrong with a ScaledObject; how its autoscaler behaves is checked as Kubernetes' own."""
    jsonschema.validate(document, SCALED)
    spec = document["spec"]
    behavior = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec["scaleTargetRef"]["name"]}
    autoscaler = {"scaleTargetRef": target, "maxReplicas": spec["maxReplicaCount"], "behavior": behavior}
    kind = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    made = {**kind, "metadata": document["metadata"], "spec": autoscaler}
    kubernetes_validate.validate(made, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_manifests_fit_the_schemas(file, version):
    for document in documents(file.name):
        if document["kind"] == "ScaledObject":
            check_scaled(document)
        else:
            kubernetes_validate.validate(document, version, strict=True)


def test_what_is_wrong_is_found():
    wrong = deepcopy(parts("workers.yaml")["Deployment"])
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 60
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)
    (scaled,) = documents("keda-prometheus.yaml")
    scaled["spec"]["triggers"][0]["metadata"]["threshold"] = 1000  # must be a text
    with pytest.raises(jsonschema.ValidationError):
        check_scaled(scaled)
    (scaled,) = documents("keda-kafka.yaml")
    scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["policies"][0].pop("value")
    with pytest.raises(kubernetes_validate.ValidationError):
        check_scaled(scaled)


@pytest.mark.parametrize("name", DEPLOYED)
def test_all_parts_speak_of_the_same_pods(name):
    found = parts(name)
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert found[kind]["spec"]["selector"]["matchLabels"] == labels
    if "Service" in found:
        assert found["Service"]["spec"]["selector"] == labels
    if "HorizontalPodAutoscaler" in found:
        target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", found["Deployment"]["metadata"]["name"])


@pytest.mark.parametrize("name", ["keda-prometheus.yaml", "keda-kafka.yaml"])
def test_what_is_scaled_are_the_workers(name):
    (scaled,) = documents(name)
    assert scaled["spec"]["scaleTargetRef"]["name"] == parts("workers.yaml")["Deployment"]["metadata"]["name"]


def test_the_commands_listen_where_the_probes_ask():
    command, (port,) = container("penstock.yaml")["command"], container("penstock.yaml")["ports"]
    assert (option(command, "--host"), option(command, "--port")) == ("0.0.0.0", str(port["containerPort"]))
    command, (port,) = container("workers.yaml")["command"], container("workers.yaml")["ports"]
    said = Metrics.__metadata__[0]
    assert "--metrics" in (said.default, *said.param_decls)
    assert watch_door(option(command, "--metrics")).of(0) == ("0.0.0.0", port["containerPort"])
    assert pod("workers.yaml")["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])


def asked(name):
    paths = {container(name)[f"{each}Probe"]["httpGet"]["path"] for each in ("startup", "readiness", "liveness")}
    return paths | {pod(name)["metadata"]["annotations"]["prometheus.io/path"]}


async def test_the_probes_ask_what_the_servers_answer():
    async with App("probed").running(store="memory:") as live:
        watched = Watched("probed")
        watched.running = live
        for name, api in (("penstock.yaml", web_app(live)), ("workers.yaml", probes_app(watched))):
            transport = httpx2.ASGITransport(app=api)
            async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
                for path in asked(name):
                    assert (await client.get(path)).status_code == 200, path


async def test_what_is_scaled_by_are_metrics_that_workers_have():
    watched = Watched("probed")
    (scaled,) = documents("keda-prometheus.yaml")
    names = set(re.findall(r"penstock_\w+", scaled["spec"]["triggers"][0]["metadata"]["query"]))
    assert names == {"penstock_lag_events", "penstock_broker_lag_events"}
    async with App("probed").running(store="memory:") as live:
        watched.running = live
        transport = httpx2.ASGITransport(app=probes_app(watched))
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
            assert "penstock_lag_events" in (await client.get("/metrics")).text


def test_prometheus_understands_what_is_scaled_by(tmp_path):
    (scaled,) = documents("keda-prometheus.yaml")
    rule = {"record": "waiting", "expr": scaled["spec"]["triggers"][0]["metadata"]["query"]}
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "scaling", "rules": [rule]}]}))
    checked = subprocess.run(
        [promtool(), "check", "rules", rules], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_pod_has_the_time_to_end_as_it_should(name):
    spec = pod(name)["spec"]
    before_s = container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert spec["terminationGracePeriodSeconds"] > before_s + max(REQUESTS_S + GRACE_S, STOP_S) + 10
