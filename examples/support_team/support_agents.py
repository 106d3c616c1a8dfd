"""The support team: its events, and what each specialist does.

Who calls whom stands elsewhere: `support_app.py` has a state machine for that, `support_events.py` rules. Each specialist takes a
request and returns a fact, so that neither way needs another line here.
"""

import json
import re
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path

from pydantic import BaseModel, Field

from penstock import Context, Event, Knowledge, Passage

TICKETS = Path(".penstock/tickets")  # stands for the ticket desk of your company
PARTS_MAX = 4
PASSAGES_MAX = 8
SEEN_MAX = 100

handbook = Knowledge("handbook")  # what the shop tells its customers
asked = Knowledge("asked")  # what customers ask: to be found again by meaning


class Quote(BaseModel):
    """A passage of the handbook, as agents hand it on."""

    id: str
    source: str
    text: str


class Found(BaseModel):
    """What was found for one question: nothing, where the retriever failed."""

    passages: list[Quote] = []


class UserMessage(Event, key="session_id"):
    """What a customer writes. `message_id` is the client's: a message that is sent again is answered once."""

    session_id: str = Field(min_length=1, max_length=100)
    message_id: str = Field(min_length=1, max_length=100)
    text: str = Field(min_length=1, max_length=4000)


# Requests, each with the specialist who takes it.


class Receive(UserMessage):
    """To the receptionist."""


class Plan(Event, key="session_id"):
    """To the planner."""

    plan_id: str
    session_id: str
    text: str


class Find(Event):
    """To the retriever; without a key, so that questions are looked up side by side."""

    plan_id: str
    number: int
    question: str


class Check(Event):
    """To the validator."""

    plan_id: str
    text: str


class Feel(Event):
    """To the one for moods."""

    plan_id: str
    text: str


class OpenTicket(Event, key="session_id"):
    """To the one who acts."""

    plan_id: str
    session_id: str
    text: str
    plan: str = ""
    policy: list[str] = []
    mood: str = "calm"


class Summarize(Event, key="session_id"):
    """To the summarizer."""

    plan_id: str
    session_id: str
    message_id: str
    text: str
    found: list[Found] = []
    mood: str = "calm"
    ticket: str = ""
    missing: list[str] = []


# Facts.


class Received(Event, key="plan_id"):
    """A message was taken in. `is_new` is false for one that was taken in before."""

    plan_id: str
    session_id: str
    message_id: str
    text: str
    is_new: bool


class PlanCreated(Event, key="plan_id"):
    """`ticket_for` says why a person must see to it; it is empty when an answer will do."""

    plan_id: str
    questions: list[str]
    ticket_for: str = ""


class DocsRetrieved(Event, key="plan_id"):
    plan_id: str
    number: int
    question: str
    passages: list[Quote]


class ValidationComplete(Event, key="plan_id"):
    """Whether the policy lets the team answer by itself, and what stands against it."""

    plan_id: str
    allowed: bool
    reasons: list[str]


class MoodFound(Event, key="plan_id"):
    plan_id: str
    mood: str
    signs: list[str]


class TicketOpened(Event, key="plan_id"):
    plan_id: str
    ticket: str


class AnswerReady(Event, key="session_id"):
    """What the customer reads. `missing` names who could not be asked."""

    plan_id: str
    session_id: str
    message_id: str
    text: str
    sources: list[str]
    ticket: str
    missing: list[str]


# The specialists.


async def receptionist(message: Receive, ctx: Context) -> Received:
    """Keep the customer's turn, once: the id of what follows comes from the message, so a message sent again changes nothing."""
    seen: list[str] = await ctx.values.get("seen", [])
    is_new = message.message_id not in seen
    if is_new:
        await ctx.values.set("seen", [*seen, message.message_id][-SEEN_MAX:])
        await ctx.session.add("user", message.text)
    return Received(plan_id=f"{message.session_id}/{message.message_id}", is_new=is_new, **message.model_dump())


async def planner(plan: Plan, ctx: Context) -> PlanCreated:
    """Say what must be looked up, and whether a person is needed."""
    history = await ctx.session.history(last=10)
    reply = await ctx.model("planner").ask(prompt="plan", question=plan.text, history=history)
    return PlanCreated(
        plan_id=plan.plan_id, questions=parts_in(reply.text) or [plan.text], ticket_for=ticket_for(plan.text)
    )


async def retriever(find: Find, ctx: Context) -> DocsRetrieved:
    """Look one question up, and remember that it was asked, under an id that follows from it."""
    found = await handbook.search(find.question, limit=4)
    asked.put(Passage(f"{find.plan_id}#{find.number}", find.question, {"plan": find.plan_id}))
    return DocsRetrieved(
        **find.model_dump(), passages=[Quote(id=each.id, source=each.source, text=each.text) for each in found]
    )


async def validator(check: Check) -> ValidationComplete:
    reasons = [reason for sign, reason in POLICY.items() if re.search(sign, check.text, re.IGNORECASE)]
    return ValidationComplete(plan_id=check.plan_id, allowed=not reasons, reasons=reasons)


async def sentiment(feel: Feel) -> MoodFound:
    """Tell who is upset by the words; a model in its place would take and return the same."""
    signs = re.findall(r"(?i)\b(?:angry|awful|furious|ridiculous|terrible|unacceptable|worst)\b|!{2,}", feel.text)
    return MoodFound(plan_id=feel.plan_id, mood="upset" if signs else "calm", signs=signs)


async def action(request: OpenTicket, ctx: Context) -> TicketOpened:
    upset = "the customer is upset" if request.mood == "upset" else ""
    reason = "; ".join(filter(None, [request.plan, *request.policy, upset]))
    key = ctx.idempotency_key("open_ticket")
    ticket = await ctx.step("open_ticket", open_ticket, request.session_id, reason, request.text, key=key)
    return TicketOpened(plan_id=request.plan_id, ticket=ticket)


async def summarizer(request: Summarize, ctx: Context) -> AnswerReady:
    """Write the answer, and keep it as the team's turn. It says what is missing: no silence about a colleague who failed."""
    lines = ["I am sorry for the trouble."] if request.mood == "upset" else []
    passages, sources = in_turns(request.found), list[str]()
    if passages:
        history = await ctx.session.history(last=6)
        reply = await ctx.model("writer").ask(
            prompt="answer", question=request.text, passages=passages, history=history, feedback=None
        )
        lines.append(reply.text)
        sources = [quote.source for number, quote in enumerate(passages, start=1) if f"[{number}]" in reply.text]
    if request.ticket:
        lines.append(f"A colleague will get back to you: ticket {request.ticket}.")
    if request.missing:
        lines.append(f"This answer had to do without {' and '.join(request.missing)}.")
    text = " ".join(lines) or "I found nothing about that in our handbook."
    await ctx.session.add("assistant", text)
    return AnswerReady(
        plan_id=request.plan_id,
        session_id=request.session_id,
        message_id=request.message_id,
        text=text,
        sources=list(dict.fromkeys(sources)),
        ticket=request.ticket,
        missing=request.missing,
    )


SPECIALISTS = (receptionist, planner, retriever, validator, sentiment, action, summarizer)


# What they know.

POLICY = {
    r"\b(?:\d[ -]?){13,16}\b": "it holds what looks like a card number",
    r"\b(?:lawyer|attorney|sue|court)\b": "it speaks of the law",
    r"\b(?:my (?:neighbou?r|wife|husband|friend)|someone else)'s (?:order|account)\b": "it asks for data of somebody else",
}
FOR_A_PERSON = {
    r"\b(?:broken|damaged|defective|cracked|stopped working)\b": "something arrived or became broken",
    r"\b(?:refund|money back)\b": "the customer wants money back",
    r"\b(?:human|real person|call me|complain(?:t)?)\b": "the customer wants a person",
}


def ticket_for(text: str) -> str:
    """Return why a person must see to a message; nothing when an answer will do."""
    return next((why for sign, why in FOR_A_PERSON.items() if re.search(sign, text, re.IGNORECASE)), "")


def parts_in(reply: str) -> list[str]:
    """Return the questions in a planner's reply; none when it is not in the form that was asked for."""
    try:
        parts = json.loads(reply[reply.find("{") : reply.rfind("}") + 1])["parts"]
    except (ValueError, KeyError, TypeError):
        return []
    return [each for each in parts if isinstance(each, str) and each.strip()][:PARTS_MAX]


def in_turns(found: list[Found]) -> list[Quote]:
    """Return the best passages of all questions, the best of each first, each once."""
    ranks = zip_longest(*(each.passages for each in found))
    return list({quote.id: quote for rank in ranks for quote in rank if quote is not None}.values())[:PASSAGES_MAX]


def open_ticket(session_id: str, reason: str, text: str, *, key: str) -> str:
    """Open a ticket. Asked again with the same key, the desk has the same ticket: that is what makes a retry safe."""
    ticket = f"T-{blake2b(key.encode(), digest_size=4).hexdigest()}"
    TICKETS.mkdir(parents=True, exist_ok=True)
    (TICKETS / f"{ticket}.json").write_text(
        json.dumps({"ticket": ticket, "session": session_id, "reason": reason, "text": text}, indent=2),
        encoding="utf-8",
    )
    return ticket
