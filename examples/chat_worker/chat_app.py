"""A chat worker: each message of a user is answered in order, from the manual, and the answer is posted to Slack once.

What a user asks is kept in his words, never the prompt. Every decision is an event on `agent-decisions`: what was asked, found
and said, by which model with which version of the prompt; so a conversation can be replayed with another model, and compared.
What begins with "research:" goes to a state machine, `research.asl.yaml`.
"""

import json
import os
import re
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import slack_api as slack
from pydantic import BaseModel, Field

from penstock import App, Context, Event, Flow, Passage, Rate, Retry
from penstock.errors import PenstockError

HERE = Path(__file__).parent
TICKETS = Path(".penstock/tickets")  # stands for the ticket desk of your company
ATTEMPTS_MAX = 3
UNANSWERED_MAX = 3
PASSAGES = 5
TURNS = 5  # as many of the session's twenty as the model sees
RESEARCH = "research:"

app = App("chat", prompts=HERE / "prompts")
manual = app.knowledge("manual", documents=os.environ.get("CHAT_MANUAL", HERE / "manual"))
talks = app.knowledge("talks")  # what was answered before: searched by research

once = Retry(attempts_max=1)


class Quote(BaseModel):
    id: str
    source: str
    text: str


class ChatMessage(Event, key="user_id"):
    """What a user writes: those of one user are handled in their order, those of others meanwhile."""

    user_id: str = Field(min_length=1, max_length=100)
    message_id: str = Field(min_length=1, max_length=100)
    text: str = Field(min_length=1, max_length=4000)
    source: str = ""  # search this document only


class Decision(Event, key="user_id", topic="agent-decisions"):
    """What was decided, and all that it came from."""

    user_id: str
    message_id: str
    agent: str
    question: str
    passages: list[str]
    answer: str
    supported: bool
    model: str
    prompt: str
    tokens_in: int
    tokens_out: int


class Post(Event, key="channel"):
    """A message for Slack: what changes the world goes over the bus like everything else."""

    channel: str
    text: str


class Posted(Event):
    ts: str


class OpenTicket(Event, key="user_id"):
    user_id: str
    reason: str


class TicketOpened(Event, key="user_id"):
    user_id: str
    ticket: str


@app.agent(
    pattern={"text": [{"anything-but": {"prefix": RESEARCH}}]},
    retry=Retry(attempts_max=ATTEMPTS_MAX, delay_s=1, delay_max_s=10),
    timeout_s=60,
    flow=Flow(rate=Rate(50, per_s=1)),  # the model's limit; what is more waits, in order
)
async def worker(message: ChatMessage, ctx: Context) -> list[Decision | Post | OpenTicket]:
    try:
        decision = await decided(message, ctx)
    except PenstockError as error:
        if ctx.attempt < ATTEMPTS_MAX:
            raise
        await ctx.session.add("user", message.text)
        reason = f"{ATTEMPTS_MAX} attempts to answer {message.message_id!r} failed: {error}"
        text = "I cannot answer right now. A colleague will write to you."
        return [OpenTicket(user_id=message.user_id, reason=reason[:1000]), reply(message.user_id, text)]
    await ctx.session.add("user", message.text)
    await ctx.session.add("assistant", decision.answer)
    talks.put(
        Passage(
            f"{message.user_id}/{message.message_id}", f"{message.text}\n{decision.answer}", {"user": message.user_id}
        )
    )
    return [decision, reply(message.user_id, decision.answer)]


async def decided(message: ChatMessage, ctx: Context) -> Decision:
    """Search, ask the model, and return all that led to the answer."""
    within = {"source": message.source} if message.source else None
    found = await manual.search(message.text, limit=PASSAGES, filter=within)
    answer = await ctx.model("chat").ask(
        prompt="answer",
        question=message.text,
        passages=[Quote(id=each.id, source=each.source, text=each.text) for each in found],
        history=await ctx.session.history(last=TURNS),
        feedback=None,
    )
    return Decision(
        user_id=message.user_id,
        message_id=message.message_id,
        agent=ctx.agent,
        question=message.text,
        passages=[each.id for each in found],
        answer=answer.text,
        supported=is_supported(answer.text),
        model=answer.model,
        prompt=answer.prompt,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
    )


@app.agent
async def supervisor(decision: Decision, ctx: Context) -> OpenTicket | None:
    """The rules after the model: who got no answer three times in a row gets a person."""
    missed = 0 if decision.supported else await ctx.values.get("missed", 0) + 1
    await ctx.values.set("missed", missed % UNANSWERED_MAX or None)
    if missed < UNANSWERED_MAX:
        return None
    return OpenTicket(user_id=decision.user_id, reason=f"{missed} questions in a row were not answered")


@app.agent
async def desk(wanted: OpenTicket, ctx: Context) -> list[TicketOpened | Post]:
    """Open the ticket, once, and tell a person."""
    key = ctx.idempotency_key("open_ticket")
    ticket = await ctx.step("open_ticket", open_ticket, wanted.user_id, wanted.reason, key=key)
    told = Post(channel=slack.PEOPLE, text=f"Ticket {ticket} for {wanted.user_id}: {wanted.reason}")
    return [TicketOpened(user_id=wanted.user_id, ticket=ticket), told]


@app.agent
async def notifier(message: Post, ctx: Context) -> Posted:
    return Posted(ts=await ctx.step("post", slack.post, message.channel, message.text))


# Research: the agents of the machine.


class Seek(Event):
    mode: Literal["hybrid", "words", "vectors", "talks"]
    question: str = Field(min_length=1)
    user_id: str


class Write(Event):
    question: str
    found: list[list[Quote]]
    feedback: str = ""


class Written(Event):
    answer: str
    passages: list[Quote]
    model: str
    prompt: str
    tokens_in: int
    tokens_out: int


class Judge(Event):
    question: str
    answer: str
    passages: list[Quote]


class Judged(Event):
    verdict: Literal["YES", "NO"]
    why: str


class Deliver(Event, key="user_id"):
    user_id: str
    message_id: str
    question: str
    written: Written
    verdict: Literal["YES", "NO"] = "NO"
    missing: list[str] = []


@app.agent(retry=once, timeout_s=30)
async def seeker(wanted: Seek) -> list[Quote]:
    if wanted.mode == "talks":
        found = await talks.search(wanted.question, limit=PASSAGES, filter={"user": wanted.user_id})
    else:
        found = await manual.search(wanted.question, limit=PASSAGES, mode=wanted.mode)
    return [Quote(id=each.id, source=each.source or "an earlier talk", text=each.text) for each in found]


@app.agent(retry=once, timeout_s=120)
async def writer(wanted: Write, ctx: Context) -> Written:
    ranks = zip_longest(*wanted.found)
    passages = list({each.id: each for rank in ranks for each in rank if each is not None}.values())[: 2 * PASSAGES]
    reply = await ctx.model("chat").ask(
        prompt="answer", question=wanted.question, passages=passages, history=[], feedback=wanted.feedback or None
    )
    spent = {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out}
    return Written(answer=reply.text, passages=passages, model=reply.model, prompt=reply.prompt, **spent)


@app.agent(retry=once, timeout_s=60)
async def judge(given: Judge, ctx: Context) -> Judged:
    reply = await ctx.model("chat").ask(
        prompt="evaluate", question=given.question, answer=given.answer, passages=given.passages
    )
    verdict, _, why = reply.text.strip().partition("\n")
    return Judged(verdict="YES" if verdict.strip().upper().startswith("YES") else "NO", why=why.strip())


@app.agent(retry=once, timeout_s=30)
async def delivery(done: Deliver, ctx: Context) -> list[Decision | Post]:
    """Keep both turns, the decision, and have the answer posted: all of it, or nothing."""
    written = done.written
    notes = [f"Not searched: {', '.join(done.missing)}."] if done.missing else []
    notes += [] if done.verdict == "YES" else ["Nobody has confirmed this answer."]
    text = " ".join([written.answer, *notes])
    await ctx.session.add("user", f"{RESEARCH} {done.question}")
    await ctx.session.add("assistant", text)
    decision = Decision(
        user_id=done.user_id,
        message_id=done.message_id,
        agent=ctx.agent,
        question=done.question,
        passages=[each.id for each in written.passages],
        answer=text,
        supported=done.verdict == "YES",
        **written.model_dump(include={"model", "prompt", "tokens_in", "tokens_out"}),
    )
    return [decision, reply(done.user_id, text)]


app.workflow(
    "research",
    definition="research.asl.yaml",
    accepts=ChatMessage,
    pattern={"text": [{"prefix": RESEARCH}]},
)


# What they know.


def reply(user_id: str, text: str) -> Post:
    return Post(channel=slack.CHAT, text=f"<@{user_id}> {text}")


def is_supported(answer: str) -> bool:
    """Whether an answer rests on a passage: the prompt asks for its number, and for these words where there is none."""
    return bool(re.search(r"\[\d+\]", answer)) and not answer.startswith("I found no")


def open_ticket(user_id: str, reason: str, *, key: str) -> str:
    """Open a ticket. Asked again with the same key, the desk has the same ticket: that is what makes a retry safe."""
    ticket = f"T-{blake2b(key.encode(), digest_size=4).hexdigest()}"
    TICKETS.mkdir(parents=True, exist_ok=True)
    known = {"ticket": ticket, "user": user_id, "reason": reason}
    (TICKETS / f"{ticket}.json").write_text(json.dumps(known, indent=2), encoding="utf-8")
    return ticket
