"""A store for an engine whose rows are kept by somebody else, key by key: a commit is sorted into the keys that it concerns.

It is a store in memory otherwise, for what penstock's own agents ask of one; nothing of an app's grows in it.
"""

from collections.abc import Mapping

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.journal import decode_chunk
from penstock.core.agents.unit import RunChange, Writes
from penstock.core.events.envelope import event_of
from penstock.core.sessions.history import History, decode_messages
from penstock.errors import Refused
from penstock.flink.live_keys import LiveKeys
from penstock.ports.state import Claim, StoredRun


class KeyedRows(MemoryStore):
    """A `Store` over the keys in memory."""

    def __init__(self, keys: LiveKeys) -> None:
        super().__init__()
        self._keys = keys

    async def commit(self, claim: Claim, number: int, writes: Writes) -> None:
        if writes.index:
            raise Refused("knowledge is written", "it is not carried on Flink")
        self._keys.apply(writes)
        await super().commit(claim, number, Writes(events=writes.events))  # of penstock's own agents

    async def run(self, run_id: str) -> StoredRun | None:
        event_id, agent = event_of(run_id)
        found = self._keys.under_way.get(event_id)
        if found is None:
            return await super().run(run_id)
        event, entry = found[1].event, found[1]
        queued = RunChange(run_id, agent, event.tenant, event.key, "queued", 0, event.time_ms)
        chunks = entry.chunks.get(agent, [])
        return StoredRun(
            entry.runs.get(agent, queued), [record for each in chunks for record in decode_chunk(each)], len(chunks)
        )

    async def history(self, tenant: str, session: str, *, now_ms: int) -> History:
        live, history = self._keys.of(tenant, session), History()
        if live is None:
            if session in self._keys.under_way:  # of an event without a key, which remembers nothing
                return history
            hint = "order the agent by what names the session, or emit an event with that key"
            raise Refused(f"session {session!r} is another key's, and Flink keeps what is remembered by key", hint)
        for each in live.remembered.messages:
            history.number = each.number
            history.add(decode_messages(each.body) if each.expires_ms > now_ms else [])
            history.number = each.number + each.count
        return history

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]:
        live = self._keys.of(tenant, key)
        return {} if live is None else dict(live.remembered.values.get(agent, {}))
