"""Posting to Slack, once: https://docs.slack.dev/reference/methods/chat.postMessage

Slack knows no idempotency keys. So each message carries ours in its metadata, and when nobody knows whether a call arrived
(a kill, a time-out, a lost answer), the history of the channels tells. Slack's own limit: histories go back 100 messages here.
"""

import os
from typing import Any

import httpx2

from penstock import NOT_DONE, Reconcile, Retry, tool
from penstock.errors import Refused, Unavailable

URL = os.environ.get("SLACK_URL", "http://127.0.0.1:3200/api")  # local_slack.py; the real one: https://slack.com/api
TOKEN = os.environ.get("SLACK_TOKEN", "xoxb-local")
CHAT = os.environ.get("SLACK_CHAT", "C0CHAT")  # where customers are answered
PEOPLE = os.environ.get("SLACK_PEOPLE", "C0PEOPLE")  # where colleagues are told
EVENT_TYPE = "penstock_message"
TEXT_CHARS_MAX = 40_000  # of one message: Slack cuts what is longer
HISTORY = 100


class TooManyCalls(Exception):
    """Slack asks to come back later: the call had no effect."""


async def happened(idempotency_key: str) -> Any:
    """Return the time stamp of the message with this key, or `NOT_DONE`."""
    for channel in (CHAT, PEOPLE):
        answer = await _called("conversations.history", channel=channel, limit=HISTORY, include_all_metadata=True)
        for message in answer["messages"]:
            if message.get("metadata", {}).get("event_payload", {}).get("key") == idempotency_key:
                return message["ts"]
    return NOT_DONE


@tool(unknown=Reconcile(happened), retry=Retry(attempts_max=5, delay_s=1, delay_max_s=30), timeout_s=15)
async def post(channel: str, text: str, idempotency_key: str = "") -> str:
    """Post a message, and return its time stamp, which is its name in the channel."""
    metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": idempotency_key}}
    answer = await _called("chat.postMessage", channel=channel, text=text[:TEXT_CHARS_MAX], metadata=metadata)
    return answer["ts"]


async def _called(method: str, **arguments: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=f"{URL}/", headers=headers, timeout=10) as client:
        try:
            if method.startswith("chat."):
                content_type = {"Content-Type": "application/json; charset=utf-8"}
                response = await client.post(method, json=arguments, headers=content_type)
            else:
                response = await client.get(method, params=arguments)
        except httpx2.ConnectError as error:
            raise TooManyCalls(f"Slack cannot be reached at {URL}: python local_slack.py") from error
        except httpx2.HTTPError as error:
            raise Unavailable("Slack", method, str(error)) from error
    if response.status_code == httpx2.codes.TOO_MANY_REQUESTS:
        raise TooManyCalls(f"come back in {response.headers.get('Retry-After', '?')} s")
    if response.status_code != httpx2.codes.OK:
        raise Unavailable("Slack", method, f"HTTP {response.status_code}")
    answer = response.json()
    if not answer["ok"]:  # errors of the caller come with 200
        raise Refused(f"Slack: {answer['error']}", "look at SLACK_TOKEN, SLACK_CHAT and SLACK_PEOPLE")
    return answer
