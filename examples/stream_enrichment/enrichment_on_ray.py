"""One slow answer while twenty others are given, on a real Ray: run by test_enrichment.py within the network of its Ray.

The model is a server in this process, which keeps one question waiting until all others are answered: a loop that waits for each
answer before it asks for the next one would never come to its end.
"""

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from enrichment_app import AgentResponse, RawRequest, app

PORT = 8099
OTHERS = 20
SLOW = "please wait for me"
NOON_MS = 1_764_072_000_000
others_answered = threading.Event()


class Model(BaseHTTPRequestHandler):
    """Streaming chat completions, as services of models have them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if SLOW in asked:
            others_answered.wait(60)
        choice = {"index": 0, "delta": {"role": "assistant", "content": "It is so."}, "finish_reason": None}
        ended = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunks = [
            {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [each]}
            for each in (choice, ended)
        ]
        body = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks).encode() + b"data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


async def main(host: str) -> None:
    async with app.running(store="memory:", host=host) as live, asyncio.timeout(150):
        texts = [SLOW, *(f"question {number}" for number in range(OTHERS))]
        for number, text in enumerate(texts):
            await live.send(RawRequest(session_id=f"s{number}", message=text, at_ms=NOON_MS))

        async def answered() -> list[str]:
            found = await live.engine.parts.store.read(AgentResponse.topic_, 0, after=0, limit=100)
            return [each.event.key for each in found]

        early = await live.engine.until(answered, lambda keys: len(keys) >= OTHERS)
        others_answered.set()
        every = await live.engine.until(answered, lambda keys: len(keys) > OTHERS)
        print(json.dumps({"early": early, "last": every[-1]}))


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.run(main(sys.argv[1]))
