"""Talk with the chat worker: `python examples/chat_worker/talk.py "What does E2 mean?" "research: Which ports must be open?"`

It starts a Slack of its own, and prints what is posted there. Kill it while it works, and start it again: what was accepted is
answered all the same.
"""

import asyncio
import sys

import slack_api
from chat_app import ChatMessage, app
from local_slack import LocalSlack


async def talk(texts: list[str]) -> None:
    with LocalSlack(show=print) as local:
        slack_api.URL = local.url
        async with app.running() as live:
            for text in texts:
                print(f"ada: {text}")
                sent = live.engine.services.clock.new_id()
                await live.send(ChatMessage(user_id="ada", message_id=sent, text=text), id=sent)
                await live.engine.settled(300)


if __name__ == "__main__":
    asyncio.run(
        talk(sys.argv[1:] or ["What does E2 mean?", "And E3?", "research: Which ports must be open in a firewall?"])
    )
