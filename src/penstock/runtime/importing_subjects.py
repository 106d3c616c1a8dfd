"""What an import has of those who were forgotten where it goes to: an older export brings nothing of them back."""

import msgspec

from penstock.core.agents.forgetting import Receipt
from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Recorded, event_of
from penstock.core.events.subjects import LAST, OWNER, gone
from penstock.runtime.generations import ValueReader

Who = tuple[str, str]


class SinceForgotten:
    """Of one file, made at a time: whoever was forgotten in the store at that time or later, is not in it any more."""

    def __init__(self, store: ValueReader, made_ms: int) -> None:
        self._store = store
        self._made_ms = made_ms
        self._known: dict[Who, bool] = {}
        self._events: set[str] = set()

    async def taken_out(self, rows: Writes) -> int:
        """Take out of some rows what is about those who were forgotten, and return how many rows that are.

        Their events keep their places, as those in the store do.
        """
        before = sum(map(len, (rows.journal, rows.streams, rows.runs, rows.dead, rows.sessions, rows.values)))
        for place, each in enumerate(rows.events):
            if each.event.subject and await self._is_forgotten((each.event.tenant, each.event.subject)):
                self._events.add(each.event.id)
                rows.events[place] = Recorded(each.position, gone(each.event))
        for kind in ("journal", "streams", "runs", "dead"):
            mine = [each for each in getattr(rows, kind) if not self._is_of(each.run_id)]
            setattr(rows, kind, mine)
        rows.sessions = [each for each in rows.sessions if not await self._is_forgotten((each.tenant, each.subject))]
        rows.values = [
            each for each in rows.values if not await self._has_value(each.tenant, each.agent, each.key, each.subject)
        ]
        rows.timers = [
            each
            for each in rows.timers
            if each.timer is None or not await self._is_forgotten((each.timer.event.tenant, each.timer.event.subject))
        ]
        rows.sent = [
            each for each in rows.sent if not await self._is_forgotten((each.event.tenant, each.event.subject))
        ]
        return before - sum(map(len, (rows.journal, rows.streams, rows.runs, rows.dead, rows.sessions, rows.values)))

    def _is_of(self, run: str) -> bool:
        return event_of(run)[0].partition("+")[0] in self._events

    async def _has_value(self, tenant: str, agent: str, key: str, subject: str) -> bool:
        """Whether a value is about somebody who was forgotten, or is a key of theirs."""
        return await self._is_forgotten((tenant, key if agent == OWNER else subject))

    async def _is_forgotten(self, who: Who) -> bool:
        if not who[1]:
            return False
        known = self._known.get(who)
        if known is None:
            values = await self._store.values(who[0], OWNER, who[1])
            last = msgspec.json.decode(values[LAST], type=Receipt).at_ms if LAST in values else -1
            known = self._known[who] = last >= self._made_ms
        return known
