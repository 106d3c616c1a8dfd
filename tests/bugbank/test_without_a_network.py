"""The quickstart needs no network, no Docker and no account."""

import os
import subprocess
import sys
from json import loads

import pytest
from own_process import NoServerError, require

ROOT = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
OFFLINE = ["unshare", *ROOT, "--net", "--"]  # not even its own loopback is up there


@pytest.mark.timeout(120)
def test_the_quickstart_answers_without_a_network(tmp_path):
    """langgraph #6494, flink-agents #623: hours went by before a first answer. Windows is not tried: there is none here."""
    if subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode:
        require(
            "a machine without a network", NoServerError("no namespaces of networks are given here (unshare --net)")
        )
    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "returns.md").write_text("# Returns\n\nShoes can be returned within 30 days of the purchase.\n")
    asked = ["--docs", documents, "--ask", "How long can I return shoes?", "--json"]
    command = [*OFFLINE, "env", "-i", "PATH=/usr/bin:/bin", sys.executable, "-m", "penstock.cli", "demo", *asked]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    report = loads(ended.stdout)
    assert (report["questions"], report["answered"], report["supported"]) == (1, 1, 1)
