"""What a handling remembers: the session of its key, and its agent's values. Both are written when it is committed."""

from typing import Any

import msgspec

from penstock.core.agents.journal import STEP_BYTES_MAX, encode_value, shaped
from penstock.core.agents.unit import SessionDelta, ValueWrite, Writes
from penstock.core.events.texts import storable
from penstock.core.sessions.history import (
    MESSAGE_BYTES_MAX,
    ROLES,
    TTL_MS,
    History,
    Role,
    SessionMessage,
    encode_messages,
)
from penstock.errors import LimitReached, Refused
from penstock.runtime.memory import Entry
from penstock.runtime.services import Services

NAME_BYTES_MAX = 4096  # of a value
VALUE_BYTES_MAX = STEP_BYTES_MAX


class Session:
    """The newest messages of one conversation, and those that this handling adds."""

    __slots__ = ("_services", "added", "entry", "id", "tenant")

    def __init__(self, tenant: str, session: str, services: Services) -> None:
        self.tenant = tenant
        self.id = session
        self._services = services
        self.entry: Entry[History] | None = None
        self.added: list[SessionMessage] = []

    async def history(self, last: int = 20) -> list[SessionMessage]:
        """Return the last messages (20 at most), oldest first, with those that this handling added."""
        entry = self.entry or await self._hold()
        return [*entry.content.messages, *self.added][-last:] if last > 0 else []

    async def add(self, role: Role, content: str) -> None:
        """Add a message when this handling is committed; `Refused` and `LimitReached` for what cannot be stored."""
        if role not in ROLES:
            raise Refused(f"the role of a message is {role!r}", f"one of {', '.join(ROLES)}")
        storable("a message", content, MESSAGE_BYTES_MAX)
        if self.entry is None:
            await self._hold()
        self.added.append(SessionMessage(role, content, self._services.clock.now_ms()))

    async def _hold(self) -> Entry[History]:
        self.entry = await self._services.memory.sessions.hold((self.tenant, self.id))
        return self.entry


class Values:
    """Named values of one agent for one key. Since a key is handled one event at a time, no update is lost."""

    __slots__ = ("_services", "changed", "entry", "key")

    def __init__(self, key: tuple[str, str, str], services: Services) -> None:
        self.key = key
        self._services = services
        self.entry: Entry[dict[str, bytes]] | None = None
        self.changed: dict[str, bytes | None] = {}

    async def get(self, name: str, default: Any = None, *, to: Any = Any) -> Any:
        """Return a value as type `to`, or the default."""
        entry = self.entry or await self._hold()
        body = self.changed[name] if name in self.changed else entry.content.get(name)
        if body is None:
            return default
        plain = msgspec.msgpack.decode(body)
        return plain if to is Any else shaped(plain, to)

    async def set(self, name: str, value: Any) -> None:
        """Set a value when this handling is committed; None removes it. `LimitReached` beyond 64 MiB."""
        if not storable("the name of a value", name, NAME_BYTES_MAX):
            raise Refused("the name of a value is empty", "name it")
        body = None if value is None else encode_value(value, name)
        if body is not None and len(body) > VALUE_BYTES_MAX:
            raise LimitReached(f"the value {name!r}, in bytes,", len(body), VALUE_BYTES_MAX)
        if self.entry is None:
            await self._hold()
        self.changed[name] = body

    async def stored(self) -> dict[str, bytes]:
        """Return all values in their stored form, for who reads them elsewhere."""
        return (self.entry or await self._hold()).content

    async def _hold(self) -> Entry[dict[str, bytes]]:
        self.entry = await self._services.memory.values.hold(self.key)
        return self.entry


def write_session(writes: Writes, session: Session, entry: Entry[History], services: Services, subject: str) -> None:
    history, added = entry.content, session.added
    expires_ms = services.clock.now_ms() + TTL_MS
    delta = SessionDelta(
        session.tenant, session.id, history.number, len(added), encode_messages(added), expires_ms, subject
    )
    writes.sessions.append(delta)
    history.add(added)
    services.memory.sessions.changed(entry)


def write_values(
    writes: Writes, values: Values, entry: Entry[dict[str, bytes]], services: Services, subject: str
) -> None:
    now_ms = services.clock.now_ms()
    for name, body in values.changed.items():
        writes.values.append(ValueWrite(*values.key, name, body, now_ms, subject))
        if body is None:
            entry.content.pop(name, None)
        else:
            entry.content[name] = body
    services.memory.values.changed(entry)
