"""Stream enrichment on penstock: each message is an event that is durable before it counts, and each window a value of its session."""

import asyncio
import sys
import tempfile

from stream_work import embedded, messages, now_s, prepared, told

from penstock import App, Embedded, Event, Pane, Tumbling

AT_ONCE = 512
CLOSING_MS = 3_600_000


class Message(Event, key="session_id"):
    session_id: str
    message: str
    at_ms: int
    closes: bool = False


class Enriched(Event, key="session_id"):
    session_id: str
    text: str
    language: str
    tokens: int
    at_ms: int
    vector: list[float]


class Counted(Event, key="session_id"):
    session_id: str
    start_ms: int
    count: int


class Trigrams:
    """The embedding that all sides do."""

    name = "trigrams-256"
    dims = 256

    async def embed(self, texts, *, purpose="passage"):  # noqa: ARG002 - one for both
        import numpy as np

        return np.asarray(embedded(list(texts)), np.float32)


def enriched(value: Embedded[dict]) -> Enriched:
    return Enriched(**value.value, vector=list(value.vector))


def counted(pane: Pane[int]) -> Counted:
    return Counted(session_id=pane.key, start_ms=pane.start_ms, count=pane.value)


def cleaned(message: Message) -> dict:
    return prepared({"session_id": message.session_id, "message": message.message, "at_ms": message.at_ms})


app = App("bench-streams")
vectors = app.knowledge("vectors")
app.embedder("trigrams", Trigrams())
raw = app.stream(Message).event_time("at_ms", idle_s=None, ahead_s_max=None)
real = raw.filter(lambda each: not each.closes).map(cleaned).embed(vectors, "text").map(enriched).to(Enriched)
raw.window(Tumbling(60)).count().map(counted).to(Counted)


async def main(count: int, store: str) -> None:
    async with app.running(store=store, embedder="trigrams") as live:
        batch = [Message(**each) for each in messages(count)]
        closing = [
            Message(session_id=each, message="", at_ms=batch[-1].at_ms + CLOSING_MS, closes=True)
            for each in {message.session_id for message in batch}
        ]
        began_s = now_s()
        for start in range(0, count, AT_ONCE):
            await live.engine.send_many(list(batch[start : start + AT_ONCE]))
        await live.engine.send_many(list(closing))
        assert await live.engine.settled(600)
        took_s = now_s() - began_s
        found = {kind: [each async for each in read(live, kind)] for kind in (Enriched, Counted)}
        counts = [(each.session_id, each.start_ms, each.count) for each in found[Counted]]
        told(count, took_s, [each.text for each in found[Enriched]], counts)


async def read(live, kind):
    after = 0
    while page := await live.engine.parts.store.read(kind.topic_, 0, after=after, limit=1000):
        for each in page:
            yield kind.decoded(each.event.data)
        after = page[-1].position.offset


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
        where = "memory:" if sys.argv[2] == "memory" else f"sqlite:{folder}/bench.db"
        asyncio.run(main(int(sys.argv[1]), where))
