"""The pipeline as others meet it: a process that serves the app, and what is said to it over HTTP."""

import json
import os
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

HERE = Path(__file__).parent
APP = HERE / "pipeline_app.py"
START_S = 60
IDLE_S = 2
REPORT_S = 10
LIBRARY = "/v1/knowledge/library"


class Failed(Exception):
    """A request that was not answered, or with an error."""


class Client:
    """One caller with one connection; for one thread."""

    def __init__(self, url: str, timeout_s: float = 120) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
        self._used_s = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body=None, *, kind: str = "application/json", **headers: str):
        """Return what is answered, as plain data."""
        if monotonic() - self._used_s > IDLE_S:  # the service may have closed it
            self._connection.close()
        content = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        try:
            self._connection.request(method, path, content, {"content-type": kind, **headers})
            answer = self._connection.getresponse()
            said = answer.read()
            self._used_s = monotonic()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise Failed(f"{method} {path}: {error!r}") from error
        if answer.status >= 400:
            raise Failed(f"{method} {path}: {answer.status} {said.decode(errors='replace')[:500]}")
        return json.loads(said) if said else None

    def get(self, path: str):
        return self.ask("GET", path)

    def post(self, path: str, body=None, **headers: str):
        return self.ask("POST", path, body, **headers)

    def search(self, query: str, **options):
        return self.post("/search", {"query": query, **options})

    def events(self, events: list[dict], consistency: str = "eventual"):
        """Send events in the form of S0."""
        return self.post(f"{LIBRARY}/events?consistency={consistency}", events)

    def refresh(self) -> None:
        self.post(f"{LIBRARY}/refresh")

    def report(self, desk: str, document: str, text: str = "", subject: str = "") -> None:
        """Have the curator publish something, and wait until it can be found."""
        before, until = self.passages_of(document), monotonic() + REPORT_S
        self.post("/v1/agents/curator", {"desk": desk, "document": document, "text": text, "subject": subject})
        self.refresh()
        while self.passages_of(document) == before and monotonic() < until:  # over a broker it is still on its way
            sleep(0.05)

    def best(self, queries: list[str], limit: int = 10, **options) -> list[list[dict]]:
        """Return the best passages for each of many queries, with their scores."""
        return [self.search(query, top_k=limit, **options)["results"] for query in queries]

    def passages_of(self, document: str) -> list[dict]:
        """Return all that is indexed of a document."""
        return self.search(document, top_k=100, filter={"document_id": document}, mode="vectors")["results"]

    def end_of_log(self) -> int:
        """Return up to which event of its log the library is searched."""
        self.refresh()
        return self.search("anything", top_k=1)["as_of"]


class Service:
    """`penstock serve pipeline_app.py`, in a process that can be stopped, killed and started again."""

    def __init__(self, store: Path, stack: dict[str, str] | None = None) -> None:
        self.store = store
        self.stack = stack or {}  # variables that name other servers
        self.log = store.with_suffix(".log")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        command = ["serve", str(APP), "--port", "0", "--json", "--store", f"sqlite:{self.store}"]
        self.store.parent.mkdir(parents=True, exist_ok=True)
        self._process = self.begun(command)
        late = threading.Timer(START_S, self._process.kill)
        late.start()
        line = self._process.stdout.readline()
        late.cancel()
        if not line:
            raise Failed(f"`penstock {' '.join(command)}` did not start: {self.log.read_text()[-1000:]}")
        self.url = json.loads(line)["url"]
        self.client = Client(self.url)

    def begun(self, arguments: list[str]):
        """Begin a command of penstock's."""
        # In a group of its own: Ctrl-C reaches who watches it, and he stops it.
        with self.log.open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "penstock.cli", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env={**os.environ, **self.stack, "PYTHONUNBUFFERED": "1"},
            )

    def kill(self) -> None:
        """SIGKILL: it has no moment left for anything."""
        self._process.kill()
        self._left()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._left()

    def _left(self) -> None:
        self._process.wait()
        self._process.stdout.close()
        with self.client:
            pass

    def command(self, *arguments: str) -> tuple[int, str]:
        """Run a command of penstock's; return its exit code and what it said."""
        command = [sys.executable, "-m", "penstock.cli", *arguments]
        environment = {**os.environ, **self.stack}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        return done.returncode, done.stdout or done.stderr
