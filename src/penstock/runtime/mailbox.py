"""What is asked for beside an app, or while none runs: it waits in the inbox of the store for the owner of its partition."""

from collections.abc import Sequence

from penstock.core.agents.again import TOPIC
from penstock.core.agents.unit import Sent
from penstock.core.events.envelope import Envelope
from penstock.errors import Refused
from penstock.ports.clock import Clock
from penstock.ports.inbox import Inbox
from penstock.runtime.asking_again import Asked

SOURCE = "/penstock"


class Mailbox:
    """Sends to the partition of the event that each is about; no claim is needed."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._inbox = inbox
        self._clock = clock

    async def send_again(self, asked: Sequence[Asked]) -> list[str]:
        sent = [self._sent(each) for each in asked]
        await self._inbox.submit(sent)
        return [each.event.id for each in sent]

    def _sent(self, asked: Asked) -> Sent:
        about = asked.about
        if asked.key not in ("", about.event.key):
            hint = "leave the key as it is, or use live.fork in a program that runs the app"
            raise Refused(f"the event has another key ({asked.key!r}) than that of the run ({about.event.key!r})", hint)
        event_id, event = self._clock.new_id(), asked.event
        envelope = Envelope(
            event_id,
            SOURCE,
            event.type_,
            asked.ordered_by,
            self._clock.now_ms(),
            event.encoded(),
            about.event.tenant,
            correlation_id=event_id,
        )
        return Sent(TOPIC, about.position.partition, envelope)
