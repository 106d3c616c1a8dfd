"""What others sent to our partitions gets its place in the log: by one commit it is there, and waits no longer (I4).

What comes to a partition waits there too, until all that was sent before has its place: then the partition is *open*.
"""

import asyncio
from collections.abc import Collection, Sequence

from penstock.ports.inbox import Inbox, Waiting
from penstock.runtime.appending import Appended, Appender
from penstock.runtime.committer import Committer
from penstock.runtime.front import Front

PAGE = 512
REST_S = 0.002  # many who commit at once are looked at together
REST_ALONE_S = 0.05  # where nobody else commits, only a command of a person may have put something there


class Receiver:
    """Receives in pages, one commit after the other, whenever it is woken."""

    def __init__(
        self, inbox: Inbox, front: Front, committer: Committer, appender: Appender, *, look_again_s: float | None
    ) -> None:
        """`look_again_s`: a wake-up by another worker may be lost; None: there are no others."""
        self._inbox = inbox
        self._look_again_s = look_again_s
        self._front = front
        self._committer = committer
        self._appender = appender
        self.woken = asyncio.Event()
        self.found_waiting: Appended | None = None  # delivers what waited when a partition was taken over

    async def receive(self, appended: Appended) -> None:
        """Receive what waits."""
        while self._appender.owned and await self._receive(appended):
            pass

    async def run(self, appended: Appended) -> None:
        """Receive until cancelled."""
        while True:
            self.woken.clear()
            await self.receive(appended)
            await asyncio.sleep(REST_ALONE_S if self._look_again_s is None else REST_S)
            if self._look_again_s is not None and not self.woken.is_set():
                timer = asyncio.get_running_loop().call_later(self._look_again_s, self.woken.set)
                await self.woken.wait()
                timer.cancel()
            else:
                await self.woken.wait()

    async def _receive(self, appended: Appended) -> int:
        if self._appender.owned == self._appender.direct:
            count = self._place(await self._inbox.submitted(self._appender.owned, limit=PAGE), appended)
        else:
            count = await self._open(appended)
        if count:
            await self._committer.durable()  # what is not durable yet would be found again
        return count

    async def _open(self, appended: Appended) -> int:
        """Receive between two commits: nothing of ours is on its way then, and what no commit has taken comes last."""
        async with self._committer.turn:
            closed = self._appender.owned - self._appender.direct
            waiting = await self._inbox.submitted(self._appender.owned, limit=PAGE)
            self._place(waiting, appended, closed)
            if len(waiting) < PAGE:
                opened = closed & self._appender.owned
                given = self._committer.put(opened, self._appender.put)
                for partition in opened:
                    self._appender.open(partition)
                for recorded in given:
                    appended(recorded)
        return len(waiting)

    def _place(self, waiting: Sequence[Waiting], appended: Appended, closed: Collection[int] = ()) -> int:
        held_up: set[tuple[str, str, str]] = set()
        for each in waiting:
            event = each.sent.event
            if each.sent.partition not in self._appender.owned:
                continue  # given up meanwhile
            if each.known:
                self._committer.add().received.append(each.number)
            elif self._front.is_arriving(event.id):  # it will be known when it is durable
                held_up.add((each.sent.topic, event.tenant, event.key))
            elif not (held_up and event.key and (each.sent.topic, event.tenant, event.key) in held_up):
                recorded = self._appender.received(each.sent)
                writes = self._committer.add(self._front.arriving(recorded))
                writes.received.append(each.number)
                writes.events.append(recorded)
                is_older = each.before or each.sent.partition in closed
                (self.found_waiting if is_older and self.found_waiting is not None else appended)(recorded)
        return len(waiting)
