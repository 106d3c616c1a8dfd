"""Research: three searches at once, an answer that is judged and written again, and delivered once."""

from copy import copy
from dataclasses import replace

import pytest
import slack_api as slack
from chat_app import ChatMessage, Decision, Post, app
from test_chat import Outside, turns

from penstock import testing
from penstock.errors import Refused
from penstock.testing import ScriptedModel, WritePoint

WANTED = ChatMessage(user_id="ada", message_id="7", text="research: Which ports must be open in a firewall?")


async def researched(live, wanted=WANTED):
    return await live.call("research", wanted, id="r-1", within_s=900)


async def test_what_begins_with_research_goes_to_the_machine_and_nothing_else_does():
    outside = Outside()
    async with testing.app(app, tools=outside) as live:
        outcome = await researched(live)
        await live.send(ChatMessage(user_id="ada", message_id="8", text="What does E2 mean?"))
        await live.settled()
        assert [each.agent for each in await live.events(Decision)] == ["delivery", "worker"]
        assert [role for role, _ in await turns(live)] == ["user", "assistant"] * 2
    assert "631" in outcome["answer"]
    assert (outcome["verdict"], outcome["missing"]) == ("YES", [])
    assert outside.posted[0] == (slack.CHAT, f"<@ada> {outcome['answer']}")


async def test_an_earlier_talk_is_found_again():
    model = ScriptedModel(["Open port 4711 [1].", "Port 4711 [1].", "YES\nso it is"])
    async with testing.app(app, tools=Outside(), models={"chat": model}) as live:
        await live.send(ChatMessage(user_id="ada", message_id="1", text="Which ports must be open?"))
        await live.settled()
        await researched(live)
    assert any("4711" in each["text"] for each in model.requests[1].inputs["passages"])


@pytest.mark.parametrize(("verdicts", "verdict", "tries"), [(["NO", "YES"], "YES", 2), (["NO"] * 5, "NO", 3)])
async def test_what_is_judged_badly_is_written_again_with_the_reason(verdicts, verdict, tries):
    said = [word for number, each in enumerate(verdicts) for word in (f"answer {number} [1]", f"{each}\ntoo short")]
    model = ScriptedModel(said)
    async with testing.app(app, tools=Outside(), models={"chat": model}) as live:
        outcome = await researched(live)
        [decision] = await live.events(Decision)
    assert (outcome["verdict"], outcome["tries"]) == (verdict, tries)
    asked = [each.inputs["feedback"] for each in model.requests if each.prompt == "answer"]
    assert asked == [None, *["too short"] * (tries - 1)]
    assert ("Nobody has confirmed" in decision.answer) == (verdict == "NO")


@pytest.mark.parametrize(
    ("mode", "missing"), [("vectors", "by meaning"), ("words", "by words"), ("talks", "earlier talks")]
)
async def test_a_search_that_fails_is_told_and_the_others_do(mode, missing):
    real = app.agents["seeker"]

    async def seek(wanted):
        if wanted.mode == mode:
            raise Refused("out of order")
        return await real.handler(wanted)

    broken = copy(app)
    broken.agents = {**app.agents, "seeker": replace(real, handler=seek)}
    async with testing.app(broken, tools=Outside()) as live:
        outcome = await researched(live)
        [decision] = await live.events(Decision)
    assert outcome["missing"] == [missing]
    assert "631" in outcome["answer"]
    assert f"Not searched: {missing}." in decision.answer


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        *((each, 1) for each in ("after append", "before commit", "during commit", "after commit", "after release")),
        *((WritePoint.AFTER_HANDLING, nth) for nth in (1, 2, 3, 4, 5, 6)),
    ],
)
async def test_it_goes_on_where_it_was_and_delivers_once(disk, point, nth):
    async with testing.app(app, tools=Outside(), disk=disk) as live, live.crash_at(point, nth):
        await researched(live)
    async with testing.app(app, tools=Outside(), disk=disk) as live:
        outcome = await researched(live)
        await live.settled()
        assert outcome["verdict"] == "YES"
        assert len(await live.events(Decision)) == len(await live.events(Post)) == 1
        assert len(await turns(live)) == 2
