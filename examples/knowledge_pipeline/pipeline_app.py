"""What agents learn becomes events; an index follows these events; anybody searches it over HTTP.

    agents -> topic `knowledge-events` -> indexer -> index -> POST /search

Nothing here says where log, state and vectors lie, or which model makes the vectors: settings do.
"""

import re
from hashlib import blake2b

import numpy as np
from pydantic import Field

from penstock import App, Context, Event, KnowledgeEvent, VerifyKnowledge

app = App("knowledge-pipeline")
library = app.knowledge("library", on_change="keep")
app.schemas()  # S0's events come as JSON, or as Avro in Confluent's frame, whose schema stands in the app's registry
app.schedule("check-the-index", "rate(1 day)", event=VerifyKnowledge(collection="library", repair=True))


class Report(Event, key="desk", subject="subject"):
    """What a desk has found out about a document; without a text the document is taken back. `subject`: whom it is about."""

    desk: str = Field(min_length=1, max_length=100)
    document: str = Field(min_length=1, max_length=200)
    text: str = ""
    subject: str = ""


class Question(Event, key="who", subject="who"):
    who: str
    text: str = Field(min_length=1, max_length=4000)


class Answer(Event, key="who", subject="who"):
    """What was answered, and from which passages."""

    who: str
    text: str
    passages: list[str]


@app.agent
async def curator(report: Report) -> KnowledgeEvent:
    """Publish a report, without personal data. The desk is the key of the event: what one desk says keeps its order."""
    return KnowledgeEvent(
        agent_id=report.desk,
        action="UPDATE" if report.text else "DELETE",
        payload=masked(report.text),
        metadata={"document_id": report.document, "desk": report.desk}
        | ({"subject": report.subject} if report.subject else {}),
    )


@app.agent(timeout_s=60)
async def answerer(question: Question, ctx: Context) -> Answer:
    """Answer from the library. The search is a step: it is recorded, and a replay sees the library as of then."""
    found = await library.search(question.text, limit=3)
    passages = "\n\n".join(each.text for each in found)
    reply = await ctx.model().ask(f"{passages}\n\n{question.text}")
    return Answer(who=question.who, text=reply.text, passages=[each.id for each in found])


# Personal data do not reach the log: an address of e-mail becomes a hash (the same one is the same person), a card's number goes.

MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
CARD = re.compile(r"\b(?:\d[ -]?){13,16}\b")


def masked(text: str) -> str:
    text = MAIL.sub(lambda mail: f"mail-{blake2b(mail[0].lower().encode(), digest_size=6).hexdigest()}", text)
    return CARD.sub("[card]", text)


# Another model, so that there is one to change to that needs nothing to be installed. `minilm` and `openai:NAME` are others.


class Spelling:
    """Places texts by the runs of three letters in them: it forgives misspelt words, and knows nothing of meaning."""

    name = "spelling-256"
    dims = 256

    async def embed(self, texts, *, purpose="passage"):
        rows = np.zeros((len(texts), self.dims), np.float32)
        for place, text in enumerate(texts):
            letters = np.frombuffer(text.lower()[:20_000].encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
            runs = letters[:-2] * np.uint64(1_000_003) + letters[1:-1] * np.uint64(10_007) + letters[2:]
            rows[place] = np.sqrt(np.bincount((runs % np.uint64(self.dims)).astype(np.int64), minlength=self.dims))
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths > 0, lengths, 1).astype(np.float32)


app.embedder("spelling", Spelling())
