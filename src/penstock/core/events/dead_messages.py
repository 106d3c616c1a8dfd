"""A dead letter as a message, where no store keeps it: the event as it came, and in headers who gave up on it, why, and when."""

from typing import Final

from penstock.core.events.envelope import Envelope
from penstock.core.events.messages import UNREADABLE, Message, problem_of, to_message

REASON_BYTES_MAX: Final = 4096
BROKER: Final = "penstock-broker"  # who finds messages that cannot be read


def dead_letters_topic(app: str) -> str:
    """Return the topic of what an app's agents gave up on."""
    return f"{app}-dead-letters"


def dead_message(event: Envelope, topic: str, told: tuple[str, str, int]) -> Message:
    """Return the message of a dead letter; `told`: the agent, the reason, and the attempts."""
    agent, reason, attempts = told
    message = to_message(event)
    headers = {
        "penstock-agent": agent.encode(),
        "penstock-reason": reason.encode(errors="replace")[:REASON_BYTES_MAX],
        "penstock-attempts": b"%d" % attempts,
        "penstock-topic": topic.encode(),
    }
    return Message(message.value, message.key, (*message.headers, *headers.items()))


def unreadable_message(event: Envelope, topic: str) -> Message:
    """Return the dead letter of a message that is no event; `event` holds its bytes."""
    assert event.type == UNREADABLE, event.type
    return dead_message(event, topic, (BROKER, problem_of(event), 1))
