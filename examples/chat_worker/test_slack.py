"""What is sent to Slack, to a server that refuses what Slack refuses; and once, though answers are lost and processes die."""

import pytest
import slack_api as slack
from chat_app import ChatMessage, Post, Posted, app
from local_slack import LocalSlack

from penstock import testing
from penstock.errors import Refused, Unavailable
from penstock.testing import WritePoint


@pytest.fixture
def anyio_backend():
    return "asyncio"  # real time: there is a real server


@pytest.fixture
def local(monkeypatch):
    with LocalSlack() as server:
        monkeypatch.setattr(slack, "URL", server.url)
        yield server


async def test_a_message_is_posted_with_its_key_in_the_metadata(local):
    ts = await slack.post(slack.CHAT, "Hello <@ada>", idempotency_key="k-1")
    [message] = local.channels[slack.CHAT]
    assert (message["ts"], message["text"]) == (ts, "Hello <@ada>")
    assert message["metadata"] == {"event_type": slack.EVENT_TYPE, "event_payload": {"key": "k-1"}}
    assert await slack.happened("k-1") == ts
    assert repr(await slack.happened("k-2")) == "NOT_DONE"


@pytest.mark.parametrize(
    ("token", "channel", "text", "error"),
    [
        ("nothing", slack.CHAT, "x", "not_authed"),
        ("xoxb-1", "C0NOWHERE", "x", "channel_not_found"),
        ("xoxb-1", slack.CHAT, "", "no_text"),
    ],
)
async def test_what_slack_refuses_is_refused_for_good(local, monkeypatch, token, channel, text, error):
    monkeypatch.setattr(slack, "TOKEN", token)
    with pytest.raises(Refused, match=error):
        await slack.post(channel, text)


async def test_what_is_too_long_is_cut(local):
    await slack.post(slack.CHAT, "x" * 50_000)
    assert len(local.channels[slack.CHAT][0]["text"]) == slack.TEXT_CHARS_MAX


async def test_a_lost_answer_leaves_it_open_whether_it_was_posted(local):
    local.lose = 1
    with pytest.raises(Unavailable, match=r"chat\.postMessage"):
        await slack.post(slack.CHAT, "x", idempotency_key="k")
    assert await slack.happened("k") == local.channels[slack.CHAT][0]["ts"]


@pytest.mark.parametrize("trouble", ["lose", "refuse"])
async def test_an_answer_is_posted_once_whatever_slack_does(local, trouble):
    setattr(local, trouble, 1)
    async with testing.app(app) as live:
        await live.ask(ChatMessage(user_id="ada", message_id="1", text="What does E2 mean?"), Posted)
    assert len(local.channels[slack.CHAT]) == 1


@pytest.mark.parametrize("point", [WritePoint.BEFORE_EFFECT, WritePoint.AFTER_EFFECT, WritePoint.AFTER_RECORD])
async def test_an_answer_is_posted_once_wherever_the_process_dies(local, disk, point):
    said = Post(channel=slack.CHAT, text="Hello")
    async with testing.app(app, disk=disk) as live, live.crash_at(point):
        await live.ask(said, Posted, id="p-1")
    async with testing.app(app, disk=disk) as live:
        posted = await live.ask(said, Posted, id="p-1")
    assert [each["ts"] for each in local.channels[slack.CHAT]] == [posted.ts]
