"""The chat worker: in order, from the manual, posted once; what fails comes to a person; decisions can be replayed."""

import asyncio
import json
from collections import Counter

import pytest
import slack_api as slack
from chat_app import ATTEMPTS_MAX, ChatMessage, Decision, Post, TicketOpened, app, open_ticket

from penstock import Stretch, testing
from penstock.adapters.memory.store import MemoryStore
from penstock.errors import Unavailable
from penstock.testing import ScriptedModel, WritePoint

JAM = "What does E2 mean?"


def message(number, text=JAM, user="ada", **more):
    return ChatMessage(user_id=user, message_id=str(number), text=text, **more)


class Outside:
    """Slack and the ticket desk, as far as the app can see; answers in place of the tools."""

    def __init__(self):
        self.posted, self.tickets = [], Counter()

    async def __call__(self, name, call, args, options):
        if call is open_ticket:
            self.tickets[options["key"]] += 1
            return f"T-{len(self.tickets)}"
        if name == "post":
            self.posted.append(args)
            return f"ts-{len(self.posted)}"
        return await call(*args, **options)

    @property
    def to_people(self):
        return [text for channel, text in self.posted if channel == slack.PEOPLE]


async def turns(live, user="ada"):
    kept = await live.engine.services.memory.sessions.hold(("default", user))
    return [(each.role, each.content) for each in kept.content.messages]


async def test_a_message_is_answered_from_the_manual_and_posted():
    outside = Outside()
    async with testing.app(app, tools=outside) as live:
        await live.send(message(1), id="m-1")
        await live.settled()
        [decision] = await live.events(Decision)
    assert "jammed" in decision.answer
    assert decision.supported
    assert decision.passages[0].startswith("errors.md#")
    assert outside.posted == [(slack.CHAT, f"<@ada> {decision.answer}")]


async def test_the_users_turn_is_what_he_wrote_not_the_prompt():
    async with testing.app(app, tools=Outside()) as live:
        await live.send(message(1))
        await live.settled()
        [user, assistant] = await turns(live)
    assert user == ("user", JAM)
    assert "Passages" not in assistant[1]


async def test_no_turn_is_lost_when_many_messages_come_at_once():
    async with testing.app(app, tools=Outside()) as live:
        await asyncio.gather(*(live.send(message(number, f"What does E{number} mean?")) for number in range(1, 9)))
        await live.settled()
        said = await turns(live)
    assert [text for role, text in said if role == "user"] == [f"What does E{number} mean?" for number in range(1, 9)]
    assert len(said) == 16


async def test_the_model_sees_five_turns_of_the_twenty_that_are_kept():
    model = ScriptedModel([f"answer {number} [1]" for number in range(13)])
    async with testing.app(app, tools=Outside(), models={"chat": model}) as live:
        for number in range(13):
            await live.send(message(number, f"question {number}"))
        await live.settled()
        assert len(await turns(live)) == 20
    assert [each["content"] for each in model.requests[-1].inputs["history"]] == [
        "answer 9 [1]",
        "question 10",
        "answer 10 [1]",
        "question 11",
        "answer 11 [1]",
    ]


async def test_a_search_keeps_to_one_document_where_the_message_says_so():
    async with testing.app(app, tools=Outside()) as live:
        await live.send(message(1, "Which button do I hold?", source="network.md"))
        await live.settled()
        [decision] = await live.events(Decision)
    assert {each.partition("#")[0] for each in decision.passages} == {"network.md"}


async def test_no_tenant_sees_the_talks_of_another():
    async with testing.app(app, tools=Outside()) as live:
        await live.send(message(1))
        await live.settled()
        for tenant, found in (("default", 1), ("acme", 0)):
            talks = live.knowledge("talks", tenant=tenant)
            assert len(await talks.search("E2", limit=5)) == found


async def test_every_message_of_a_batch_is_handled_and_a_poisonous_one_harms_nobody_else():
    class Moody(ScriptedModel):
        async def stream(self, request):
            if request.inputs["question"] == "poison":
                raise ValueError("cannot read this")
            async for each in super().stream(request):
                yield each

    texts = [JAM, "poison", JAM, JAM]
    async with testing.app(app, tools=Outside(), models={"chat": Moody(["jam [1]"] * 3)}) as live:
        for number, text in enumerate(texts):
            await live.send(message(number, text, user=f"user-{number}"))
        await live.settled()
        assert {each.user_id for each in await live.events(Decision)} == {"user-0", "user-2", "user-3"}
        assert [each.agent for each in await live.dead_letters()] == ["worker"]


async def test_after_three_failed_attempts_a_ticket_is_opened_and_a_person_told():
    outside, model = Outside(), ScriptedModel([Unavailable("the model", "ask")] * 9)
    async with testing.app(app, tools=outside, models={"chat": model}) as live:
        await live.send(message(1))
        await live.settled()
        assert len(await live.events(TicketOpened)) == 1
        assert await live.dead_letters() == []
    assert len(model.requests) == ATTEMPTS_MAX
    assert outside.to_people[0].startswith("Ticket T-1 for ada: 3 attempts")
    assert "A colleague will write to you" in outside.posted[0][1] + outside.posted[1][1]


async def test_who_got_no_answer_three_times_in_a_row_gets_a_person():
    said = ["I found no answer.", "It is jammed [1]", *["I found no answer."] * 4]
    outside = Outside()
    async with testing.app(app, tools=outside, models={"chat": ScriptedModel(said)}) as live:
        for number in range(len(said)):
            await live.send(message(number))
        await live.settled()
    assert len(outside.tickets) == 1
    assert "3 questions in a row" in outside.to_people[0]


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        *((each, 1) for each in testing.AT_WORK),
        *((WritePoint.AFTER_HANDLING, nth) for nth in (2, 3)),
    ],
)
async def test_an_answer_is_decided_and_posted_once_wherever_the_process_dies(disk, point, nth):
    outside = Outside()
    async with testing.app(app, tools=outside, disk=disk) as live, live.crash_at(point, nth):
        await live.send(message(1), id="m-1")
        await live.settled()
    async with testing.app(app, tools=outside, disk=disk) as live:
        await live.send(message(1), id="m-1")
        await live.settled()
        assert len(await live.events(Decision)) == len(await live.events(Post)) == 1
        assert len(await turns(live)) == 2


async def test_a_conversation_is_replayed_with_another_model_and_compared(disk):
    first = ScriptedModel(["jammed [1]", "empty [1]", "x [1]", "YES\nfine"], name="first:1")
    async with testing.app(app, tools=Outside(), models={"chat": first}, disk=disk) as live:
        for number, text in enumerate([JAM, "What does E1 mean?"]):
            await live.send(message(number, text))
        await live.settled()
        await live.send(message(9, "research: jams"))  # the worker passes over it, and so does a replay of his
        await live.settled()
    kept = MemoryStore(disk.memory)

    async def replayed(*said, fresh):
        app.model("chat", ScriptedModel(said, name="second:1"))
        stretch = Stretch("chat-message", agent="worker", fresh_reads=fresh)
        return [each async for each in app.replay(kept, stretch)]

    try:
        same = await replayed(fresh=False)
        newer = await replayed("jammed [1]", "no paper [1]", fresh=True)
    finally:
        app.model("chat", "offline:extractive")
    assert [each.outcome for each in same] == ["same", "same"]
    assert [each.outcome for each in newer] == ["differs", "differs"]
    answers = [
        (json.loads(before[2])["answer"], json.loads(now[2])["answer"])
        for each in newer
        for before, now in zip(each.before.emitted, each.now.emitted, strict=True)
        if before[0] == Decision.type_
    ]
    assert answers == [("jammed [1]", "jammed [1]"), ("empty [1]", "no paper [1]")]
