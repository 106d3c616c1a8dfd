"""The answering team: planner, retrievers, executor, evaluator, responder. Each is an agent; what they say are events.

    Question -> planner -> SubQuestion... -> retriever -> Evidence... -> executor -> Draft -> evaluator
                                                     ^                       |
                                                     +--- Rejected (once) ---+-> Approved -> responder -> Answer

Every call of a model or of the index is a step of its run: after a crash it is taken from the journal.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from penstock.app import App
from penstock.core.events.event import Event
from penstock.runtime.collection import Found
from penstock.runtime.context import Context

PASSAGES = 5
SEARCHED = 20
PER_SOURCE_MAX = 2
PARTS_MAX = 4
REJECTIONS_MAX = 1
COLLECTION = "documents"
Deliver = Callable[[str, dict[str, Any]], None]


class Quote(Event):
    """A passage, as agents hand it on."""

    id: str
    source: str
    text: str


class Question(Event, key="session_id"):
    """What a person asks."""

    session_id: str
    text: str


class SubQuestion(Event):
    """A part of a question that is looked up by itself; without a key, so that parts are looked up side by side."""

    question_id: str
    session_id: str
    question: str
    text: str
    number: int
    of: int


class Evidence(Event, key="question_id"):
    """What was found for one part."""

    question_id: str
    session_id: str
    question: str
    number: int
    of: int
    passages: list[Quote]


class Draft(Event, key="question_id"):
    """An answer that was not checked yet."""

    question_id: str
    session_id: str
    question: str
    answer: str
    passages: list[Quote]
    rejections: int


class Rejected(Event, key="question_id"):
    """The evaluator said no, and why."""

    draft: Draft
    question_id: str
    why: str


class Approved(Event, key="session_id"):
    """The answer that leaves; `supported` is false when the evaluator said no to the end."""

    session_id: str
    draft: Draft
    supported: bool
    why: str


class Answer(Event, key="session_id"):
    """What the person gets. `sources`: the passages that were used, best first; `cited`: those that the text names."""

    session_id: str
    question: str
    text: str
    sources: list[str]
    cited: list[str]
    supported: bool
    why: str


def team(deliver: Deliver) -> App:
    """Return the app. `deliver` is called with an idempotency key and each answer: the effect upon the outside."""
    app = App("demo", prompts=Path(__file__).with_name("prompts"))
    documents = app.knowledge(COLLECTION)

    @app.agent
    async def planner(question: Question, ctx: Context) -> list[SubQuestion]:
        history = await ctx.session.history(last=10)
        reply = await ctx.model().ask(prompt="plan", question=question.text, history=history)
        parts = parts_in(reply.text) or [question.text]
        return [
            SubQuestion(
                question_id=ctx.event.id,
                session_id=question.session_id,
                question=question.text,
                text=part,
                number=number,
                of=len(parts),
            )
            for number, part in enumerate(parts)
        ]

    @app.agent
    async def retriever(part: SubQuestion) -> Evidence:
        found = spread(await documents.search(part.text, limit=SEARCHED))
        return Evidence(
            question_id=part.question_id,
            session_id=part.session_id,
            question=part.question,
            number=part.number,
            of=part.of,
            passages=[Quote(id=each.id, source=each.source, text=each.text) for each in found],
        )

    @app.agent
    async def executor(news: Evidence | Rejected, ctx: Context) -> Draft | None:
        if isinstance(news, Rejected):
            draft = news.draft
            return await written(
                ctx, draft.question, draft, draft.passages, feedback=news.why, rejections=draft.rejections + 1
            )
        lists: dict[str, list[dict[str, str]]] = await ctx.values.get("evidence", {})
        lists[str(news.number)] = [quote.model_dump() for quote in news.passages]
        await ctx.values.set("evidence", lists if len(lists) < news.of else None)
        if len(lists) < news.of:
            return None
        passages = merged([[Quote(**quote) for quote in lists[key]] for key in sorted(lists)])
        return await written(ctx, news.question, news, passages, feedback=None, rejections=0)

    @app.agent
    async def evaluator(draft: Draft, ctx: Context) -> Approved | Rejected:
        passages = [quote.model_dump() for quote in draft.passages]
        reply = await ctx.model().ask(
            prompt="evaluate", question=draft.question, answer=draft.answer, passages=passages
        )
        verdict, _, why = reply.text.strip().partition("\n")
        supported = verdict.strip().upper().startswith("YES")
        if supported or draft.rejections >= REJECTIONS_MAX:
            return Approved(session_id=draft.session_id, draft=draft, supported=supported, why=why.strip())
        return Rejected(draft=draft, question_id=draft.question_id, why=why.strip() or "not supported by the passages")

    @app.agent
    async def responder(approved: Approved, ctx: Context) -> Answer:
        draft = approved.draft
        answer = Answer(
            session_id=approved.session_id,
            question=draft.question,
            text=draft.answer,
            sources=[quote.source for quote in draft.passages],
            cited=[
                quote.source for number, quote in enumerate(draft.passages, start=1) if f"[{number}]" in draft.answer
            ],
            supported=approved.supported,
            why=approved.why,
        )
        await ctx.session.add("user", draft.question)
        await ctx.session.add("assistant", draft.answer)
        await ctx.step("deliver", deliver, ctx.idempotency_key("deliver"), answer.model_dump())
        return answer

    return app


async def written(
    ctx: Context, question: str, of: Evidence | Draft, passages: list[Quote], *, feedback: str | None, rejections: int
) -> Draft:
    """Have the model write an answer from the passages."""
    history = await ctx.session_of(of.session_id).history(last=5)
    quotes = [quote.model_dump() for quote in passages]
    reply = await ctx.model().ask(
        prompt="answer", question=question, passages=quotes, history=history, feedback=feedback
    )
    return Draft(
        question_id=of.question_id,
        session_id=of.session_id,
        question=question,
        answer=reply.text,
        passages=passages,
        rejections=rejections,
    )


def parts_in(reply: str) -> list[str]:
    """Return the parts that a planner named, at most `PARTS_MAX`; none when its reply is not in the form asked for."""
    start, end = reply.find("{"), reply.rfind("}")
    try:
        plan: Any = json.loads(reply[start : end + 1])
    except ValueError:
        return []
    parts: Any = plan.get("parts") if isinstance(plan, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(parts, list):
        return []
    return [part.strip() for part in parts if isinstance(part, str) and part.strip()][:PARTS_MAX]  # pyright: ignore[reportUnknownVariableType]


def spread(found: Sequence[Found], limit: int = PASSAGES) -> list[Found]:
    """Return the best, at most two of one source as long as there are others: five pieces of one page tell less."""
    taken: Counter[str] = Counter()
    early: list[Found] = []
    late: list[Found] = []
    for each in found:
        taken[each.source] += 1
        (early if taken[each.source] <= PER_SOURCE_MAX else late).append(each)
    return [*early, *late][:limit]


def merged(lists: list[list[Quote]], limit: int = PASSAGES) -> list[Quote]:
    """Return the best of several lists, in turns, each passage once."""
    taken: dict[str, Quote] = {}
    for rank in zip_longest(*lists):
        for quote in rank:
            if quote is not None:
                taken.setdefault(quote.id, quote)
    return list(taken.values())[:limit]
