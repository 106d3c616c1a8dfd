"""A Prometheus for the tests, of Debian's package: it scrapes one address and watches rules."""

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from urllib.parse import quote

from own_process import NoServerError, OwnProcess, free_port, installed_by_apt, require

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: penstock
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._at = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str):
        with urllib.request.urlopen(f"{self._at}/{path}", timeout=5) as answer:
            return json.loads(answer.read())["data"]

    def firing(self) -> dict[str, dict[str, str]]:
        return {
            each["labels"]["alertname"]: each["labels"]
            for each in self.ask("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def fired(self, *names: str, within_s: float = 60) -> dict[str, dict[str, str]]:
        """Return the alerts that fire once all of these do."""
        last, pause = monotonic() + within_s, Event()
        while not set(names) <= (firing := self.firing()).keys() and monotonic() < last:
            pause.wait(0.2)
        return firing

    def query(self, expression: str) -> list:
        return self.ask(f"query?query={quote(expression)}")["result"]


def promtool() -> Path:
    """Return the program that checks rules; without one, skip, or fail when PENSTOCK_REQUIRE_SERVICES=1."""
    try:
        return installed_by_apt("prometheus", "promtool")
    except NoServerError as error:
        require("prometheus", error)
        raise


@contextmanager
def required_prometheus(target: str, rules: str) -> Generator[Prometheus]:
    """Yield a Prometheus that scrapes `target` (HOST:PORT) and evaluates `rules`, both all the time."""
    program = promtool().with_name("prometheus")
    folder = Path(tempfile.mkdtemp(prefix="penstock-prometheus-"))
    try:
        (folder / "rules.yml").write_text(rules)
        (folder / "prometheus.yml").write_text(CONFIG.format(rules=folder / "rules.yml", target=target))
        port = free_port()
        command = [
            program,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        process = OwnProcess(command, folder, lambda: _is_ready(port))
        process.start()
        try:
            yield Prometheus(port)
        finally:
            process.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False
