"""What is said to a run goes where the run is: to the partition of the event that began it.

Whoever says it need not know that partition: the event lies in that of the run's id, and is passed on from there, in order.
"""

from hashlib import blake2b

from msgspec.structs import replace

from penstock.core.agents.control import CONTROL, CallAnswered
from penstock.core.agents.unit import Sent
from penstock.core.events.envelope import Envelope, Recorded, emitted_id, event_of, run_id
from penstock.ports.state import RunCatalog
from penstock.runtime.appending import Appended, Appender
from penstock.runtime.services import Services


class PassingOn:
    """Between the partitions of a store; where there is one, nothing is passed on."""

    def __init__(self, services: Services, store: RunCatalog, appender: Appender) -> None:
        self._services = services
        self._store = store
        self._appender = appender

    async def passed_on(self, run: str, said: Recorded) -> bool:
        """Send what is said to a run on to its partition, with the commit that is being collected; False when it is there."""
        if self._appender.partitions == 1:
            return False
        event, here = said.event, said.position
        origin = await self._store.event(event_of(run)[0])
        if origin is not None and not origin.position.is_given:
            await self._services.committer.durable()  # it may have got its place just before us
            origin = await self._store.event(event_of(run)[0])
        if origin is None or (origin.position.is_given and origin.position.partition == here.partition):
            return False
        next_id = emitted_id(run_id(event.id, CONTROL), event.correlation_id or event.id, 0)
        passed = replace(event, id=next_id, causation_id=event.id, depth=event.depth + 1)
        self._services.committer.add().sent.append(Sent(here.topic, origin.position.partition, passed))
        return True

    def answer(self, cause: Envelope, step: str, by: str, end: str, on_appended: Appended) -> None:
        """Have a run that may live with another worker learn that `by` has ended, with the commit of that end.

        Each `end` of a run is another answer: one that died may be redriven, and end again.
        """
        if self._appender.partitions == 1:
            return
        number = int.from_bytes(blake2b(f"answer {step} {end}".encode(), digest_size=6).digest())
        recorded = self._appender.emitted(
            CallAnswered(run_id=cause.reply_run, step=step, by=by),
            None,
            run=by,
            cause=cause,
            number=number,
            now_ms=self._services.clock.now_ms(),
        )
        self._services.committer.add().events.append(recorded)
        on_appended(recorded)
