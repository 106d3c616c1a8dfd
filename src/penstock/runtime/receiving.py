"""What others sent to our partitions gets its place in the log: by one commit it is there, and waits no longer (I4)."""

import asyncio

from penstock.ports.inbox import Inbox
from penstock.runtime.appending import Appended, Appender
from penstock.runtime.committer import Committer

PAGE = 512
LOOK_AGAIN_S = 1.0  # a wake-up may be lost
REST_S = 0.002  # many who commit at once are looked at together
REST_ALONE_S = 0.05  # where nobody else commits, only a command of a person may have put something there


class Receiver:
    """Receives in pages, one commit after the other, whenever it is woken."""

    def __init__(self, inbox: Inbox, committer: Committer, appender: Appender, *, shared: bool) -> None:
        self._inbox = inbox
        self._shared = shared
        self._committer = committer
        self._appender = appender
        self.woken = asyncio.Event()

    async def run(self, appended: Appended) -> None:
        """Receive until cancelled."""
        while True:
            self.woken.clear()
            while self._appender.owned and await self._receive(appended) == PAGE:
                pass
            await asyncio.sleep(REST_S if self._shared else REST_ALONE_S)
            if self._shared and not self.woken.is_set():
                timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self.woken.set)
                await self.woken.wait()
                timer.cancel()
            else:
                await self.woken.wait()

    async def _receive(self, appended: Appended) -> int:
        waiting = await self._inbox.submitted(self._appender.owned, limit=PAGE)
        for each in waiting:
            if each.sent.partition not in self._appender.owned:
                continue  # given up meanwhile
            writes = self._committer.add()
            writes.received.append(each.number)
            if not each.known:
                recorded = self._appender.received(each.sent)
                writes.events.append(recorded)
                appended(recorded)
        if waiting:
            await self._committer.durable()  # what is not durable yet would be found again
        return len(waiting)
