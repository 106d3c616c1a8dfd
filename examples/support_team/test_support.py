"""The support team does the same, whether a machine leads it or events do; one of it may fail, and the process may die."""

import asyncio
from collections import Counter
from copy import copy
from dataclasses import replace

import pytest
import support_app
import support_events
from support_agents import AnswerReady, Receive, TicketOpened, UserMessage, open_ticket

from penstock import testing
from penstock.errors import Refused
from penstock.testing import ScriptedModel, WritePoint

HOW_LONG = UserMessage(session_id="ada", message_id="1", text="How long can I return a lamp?")
BROKEN = UserMessage(session_id="ada", message_id="2", text="My lamp arrived broken!! This is terrible.")
TWO_THINGS = UserMessage(session_id="bob", message_id="1", text="What does express cost? Where do I find my invoice?")


class Desk:
    """The ticket desk: it knows a ticket by its key. Answers in place of the tools."""

    def __init__(self):
        self.tickets = Counter()

    async def __call__(self, name, call, args, options):
        if call is open_ticket:
            self.tickets[options["key"]] += 1
            return f"T-{list(self.tickets).index(options['key']) + 1}"
        return await call(*args, **options)


async def led_by_a_machine(live, message):
    return await live.call("support", message, id=f"{message.session_id}-{message.message_id}", within_s=300)


async def led_by_events(live, message):
    return await live.call("reply", message, id=f"{message.session_id}-{message.message_id}", within_s=300)


BOTH = pytest.mark.parametrize(
    ("app", "answered"),
    [(support_app.app, led_by_a_machine), (support_events.app, led_by_events)],
    ids=["machine", "events"],
)


def with_failing(app, *names):
    """Return the app with colleagues who fail whenever they are asked."""

    async def fails(_request):
        raise Refused("out of order")

    other = copy(app)
    other.agents = {
        name: replace(agent, handler=fails, wants_context=False) if name in names else agent
        for name, agent in app.agents.items()
    }
    return other


async def turns(live, session):
    return [
        (each.role, each.content)
        for each in (await live.engine.services.memory.sessions.hold(("default", session))).content.messages
    ]


@BOTH
async def test_a_question_is_answered_from_the_handbook(app, answered):
    async with testing.app(app) as live:
        answer = await answered(live, HOW_LONG)
    assert "within 30 days" in answer["text"]
    assert (answer["sources"], answer["ticket"], answer["missing"]) == (["returns.md"], "", [])


@BOTH
async def test_an_upset_customer_with_a_broken_lamp_gets_one_ticket(app, answered):
    desk = Desk()
    async with testing.app(app, tools=desk) as live:
        answer = await answered(live, BROKEN)
        assert len(await live.events(TicketOpened)) == 1
    assert answer["text"].startswith("I am sorry")
    assert answer["ticket"] == "T-1"
    assert list(desk.tickets.values()) == [1]


@BOTH
@pytest.mark.parametrize(
    ("who", "what"),
    [
        ("planner", "the planner"),
        ("retriever", "the handbook"),
        ("validator", "the policy check"),
        ("sentiment", "a feeling for the mood"),
        ("action", "the ticket desk"),
    ],
)
async def test_one_fails_and_the_others_go_on(app, answered, who, what):
    async with testing.app(with_failing(app, who), tools=Desk()) as live:
        answer = await answered(live, BROKEN)
    assert what in answer["missing"]
    assert f"had to do without {what}" in answer["text"]
    assert ("photo" in answer["text"]) == ("the handbook" not in answer["missing"])
    assert (answer["ticket"] == "") == (who == "action")


@BOTH
async def test_a_message_that_is_sent_again_is_answered_once(app, answered):
    async with testing.app(app, tools=Desk()) as live:
        await answered(live, BROKEN)
        await live.send(BROKEN, id="the same in another envelope")
        await live.settled()
        assert len(await live.events(AnswerReady)) == 1
        assert [role for role, _ in await turns(live, "ada")] == ["user", "assistant"]


@BOTH
async def test_two_turns_in_one_instant_are_both_kept(app, answered):
    async with testing.app(app, tools=Desk()) as live:
        await asyncio.gather(answered(live, HOW_LONG), answered(live, BROKEN))
        said = await turns(live, "ada")
    assert {HOW_LONG.text, BROKEN.text} <= {text for role, text in said if role == "user"}
    assert len(said) == 4


@BOTH
async def test_what_was_asked_is_found_again_under_ids_that_follow_from_the_message(app, answered):
    async with testing.app(app) as live:
        await answered(live, TWO_THINGS)
        await live.knowledge("asked").indexed()
        found = await live.knowledge("asked").search("invoices", limit=5)
        assert {each.id for each in found} == {"bob/1#0", "bob/1#1"}


@BOTH
async def test_everything_of_one_message_has_its_plan(app, answered):
    async with testing.app(app, tools=Desk()) as live:
        await answered(live, BROKEN)
        facts = [*await live.events(TicketOpened), *await live.events(AnswerReady)]
    assert {each.plan_id for each in facts} == {"ada/2"}


async def test_a_planner_who_does_not_keep_to_the_form_does_no_harm():
    async with testing.app(support_app.app, models={"planner": ScriptedModel(["Sure! Here you go: [1, 2"])}) as live:
        assert "within 30 days" in (await led_by_a_machine(live, HOW_LONG))["text"]


async def test_a_message_that_says_nothing_is_refused_with_all_that_is_wrong():
    with pytest.raises(Exception, match=r"(?s)session_id.*text"):
        Receive.checked({"session_id": "", "message_id": "1", "text": ""})


DEATHS = [
    *((point, 1) for point in testing.AT_WORK),
    *((WritePoint.AFTER_HANDLING, nth) for nth in (4, 8)),
    *((point, nth) for point in (WritePoint.DURING_COMMIT, WritePoint.AFTER_COMMIT) for nth in (2,)),
]


@BOTH
@pytest.mark.parametrize(("point", "nth"), DEATHS)
async def test_a_message_is_answered_once_wherever_the_process_dies(app, answered, disk, point, nth):
    desk = Desk()
    async with testing.app(app, tools=desk, disk=disk) as live, live.crash_at(point, nth):
        await answered(live, BROKEN)
    async with testing.app(app, tools=desk, disk=disk) as live:
        answer = await answered(live, BROKEN)
        await live.settled()
        assert [each.text for each in await live.events(AnswerReady)] == [answer["text"]]
        assert len(await turns(live, "ada")) == 2
    assert len(desk.tickets) == 1, "the desk was asked under two keys: it would have opened two tickets"
