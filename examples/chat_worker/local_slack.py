"""A Slack for one's own machine: it takes chat.postMessage and conversations.history, refuses what Slack refuses, and prints.

`python examples/chat_worker/local_slack.py`
"""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, urlsplit

PORT = 3200
KNOWN = {"channel", "text", "metadata", "blocks", "attachments", "thread_ts", "mrkdwn", "unfurl_links", "unfurl_media"}
TEXT_CHARS_MAX = 40_000


class LocalSlack:
    """Channels and their messages. `lose`: how many of the next messages are taken, and their answers lost."""

    def __init__(self, *, port=0, show=None):
        self.channels = {"C0CHAT": [], "C0PEOPLE": []}
        self.lose = self.refuse = 0
        self.calls = []
        self._lock, self._show = Lock(), show
        slack = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer(slack.posted(self.path, self.headers, body))

            def do_GET(self):
                self._answer(slack.history(self.path, self.headers))

            def _answer(self, answer):
                if answer is None:  # it happened, and nobody hears of it
                    self.close_connection = True
                    return
                status, document = answer
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if status == 429:
                    self.send_header("Retry-After", "1")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Door)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/api"

    def __enter__(self):
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def posted(self, path, headers, body):
        with self._lock:
            self.calls.append("chat.postMessage")
            if self.refuse:
                self.refuse -= 1
                return 429, {"ok": False, "error": "ratelimited"}
            error, given = self._read(path, headers, body)
            if error:
                return 200, {"ok": False, "error": error}
            said = self.channels[given["channel"]]
            message = {"type": "message", "ts": f"1700000000.{len(self.calls):06d}", "text": given.get("text", "")}
            if "metadata" in given:
                message["metadata"] = given["metadata"]
            said.append(message)
            if self._show:
                self._show(f"{given['channel']}: {message['text']}")
            if self.lose:
                self.lose -= 1
                return None
            return 200, {"ok": True, "channel": given["channel"], "ts": message["ts"], "message": message}

    def _read(self, path, headers, body):
        """Return the first thing that is wrong with a call, or nothing, and what was given."""
        media_type, _, charset = headers.get("Content-Type", "").partition(";")
        try:
            given = json.loads(body)
        except ValueError:
            given = None
        known = given if isinstance(given, dict) else {}
        text = known.get("text")
        says = any((isinstance(text, str) and text, known.get("blocks"), known.get("attachments")))
        checks = {
            "unknown_method": urlsplit(path).path != "/api/chat.postMessage",
            "not_authed": not headers.get("Authorization", "").startswith("Bearer xoxb-"),
            "invalid_post_type": media_type != "application/json" or "charset=utf-8" not in charset.lower(),
            "invalid_json": given is None,
            "invalid_arguments": not isinstance(given, dict) or bool(set(known) - KNOWN),
            "channel_not_found": known.get("channel") not in self.channels,
            "no_text": not says,
            "msg_too_long": isinstance(text, str) and len(text) > TEXT_CHARS_MAX,
            "invalid_metadata_format": not _is_metadata(known.get("metadata")),
        }
        return next((error for error, holds in checks.items() if holds), ""), known

    def history(self, path, headers):
        with self._lock:
            self.calls.append("conversations.history")
            if not headers.get("Authorization", "").startswith("Bearer xoxb-"):
                return 200, {"ok": False, "error": "not_authed"}
            asked = {name: values[-1] for name, values in parse_qs(urlsplit(path).query).items()}
            if asked.get("channel") not in self.channels:
                return 200, {"ok": False, "error": "channel_not_found"}
            newest = self.channels[asked["channel"]][::-1][: int(asked.get("limit", 100))]
            if asked.get("include_all_metadata") not in ("true", "1"):
                newest = [{name: value for name, value in each.items() if name != "metadata"} for each in newest]
            return 200, {"ok": True, "messages": newest, "has_more": False}


def _is_metadata(given):
    """Whether it is none, or a type with a payload of plain values."""
    if given is None:
        return True
    payload = given.get("event_payload") if isinstance(given, dict) else None
    is_flat = isinstance(payload, dict) and all(isinstance(each, str | int | float | bool) for each in payload.values())
    return is_flat and isinstance(given.get("event_type"), str)


if __name__ == "__main__":
    with LocalSlack(port=PORT, show=print) as local:
        print(f"Slack is at {local.url}; Ctrl-C stops it")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
