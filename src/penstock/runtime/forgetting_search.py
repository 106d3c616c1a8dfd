"""What the log has of one subject: which events, where, and what was said in them."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

from penstock.core.agents.control import TOPIC as CONTROL_TOPIC
from penstock.core.agents.unit import Writes
from penstock.core.events.envelope import Envelope, Recorded, event_of
from penstock.core.events.subjects import is_gone
from penstock.errors import Invalid, Missing
from penstock.ports.rows import Kind
from penstock.ports.sealing import Subjects
from penstock.ports.store import Store
from penstock.runtime.forgotten_passages import TOPIC as KNOWLEDGE_TOPIC
from penstock.runtime.forgotten_passages import may_name_subject, names_subject
from penstock.runtime.services import Services
from penstock.runtime.topology import Topology

PAGE = 500
NEEDLES_MAX = 200
NEEDLE_BYTES = 64
NEEDLE_BYTES_MIN = 6


@dataclass(slots=True)
class Found:
    """What the log has of a subject."""

    ids: dict[str, tuple[str, int, int, str]] = field(
        default_factory=dict[str, tuple[str, int, int, str]]
    )  # place, type
    has_knowledge: bool = False
    needles: dict[bytes, None] = field(default_factory=dict[bytes, None])  # texts to look for afterwards


class Looking:
    """Looks through a store for one who is to be forgotten."""

    def __init__(self, topology: Topology, store: Store, services: Services, subjects: Subjects) -> None:
        self._topology = topology
        self._store = store
        self._services = services
        self.subjects = subjects

    async def found(self, tenant: str, name: str) -> Found:
        """Look through the log, as it is stored: whom an event is about stands beside what is sealed of it."""
        found, said = Found(), list[tuple[str, str, tuple[str, int, int, str]]]()
        async for rows in self.rows("events"):
            for recorded in rows.events:
                place, event = recorded.position, recorded.event
                where = (place.topic, place.partition, place.offset, event.type)
                if event.tenant != tenant:
                    continue
                if place.topic == CONTROL_TOPIC and not event.subject and not is_gone(event.data):
                    said.append((event.id, event_of(event.key)[0], where))
                if event.subject == name or (not event.subject and await self._is_about(event, tenant, name)):
                    found.ids[event.id] = where
                    await self._sample(recorded, found)
        found.ids.update({event_id: where for event_id, origin, where in said if origin in found.ids})
        return found

    async def _is_about(self, event: Envelope, tenant: str, name: str) -> bool:
        """Whether an event that was written before its class said so is about the subject."""
        kind = self._topology.of_type(event.type)
        if kind is None or not kind.event.subject_ or not may_name_subject(event):
            return False
        stored = await self._store.event(event.id)  # with its data, where that is large
        try:
            subject = None if stored is None else kind.event.decoded_as(stored.event.type, stored.event.data).about_()
        except (Invalid, Missing):
            return False
        return bool(subject) and self.subjects.name(tenant, subject or "") == name

    async def _sample(self, recorded: Recorded, found: Found) -> None:
        """Note what is said, to look for it afterwards, and which collection it is said to."""
        event = recorded.event
        kind = self._topology.of_type(event.type)
        if kind is not None and kind.topic == KNOWLEDGE_TOPIC:
            found.has_knowledge = True
        if len(found.needles) >= NEEDLES_MAX or is_gone(event.data):
            return
        stored = await self._store.event(event.id)
        if stored is not None and not is_gone(stored.event.data):
            for text in _texts(stored.event.data):
                found.needles[text] = None

    def is_named(self, tenant: str, name: str, metadata: Mapping[str, str]) -> bool:
        subject = names_subject(metadata)
        return bool(subject) and self.subjects.name(tenant, subject or "") == name

    async def rows(self, kind: Kind) -> AsyncGenerator[Writes]:
        """Yield all rows of a kind, as they are stored."""
        after = b""
        while True:
            page = await self._store.rows(kind, after=after, limit=PAGE)
            yield page.rows
            after = page.after
            if not after:
                return
            await self._services.clock.sleep(0)


def _texts(data: bytes) -> list[bytes]:
    """Return the longest texts in some JSON, cut, as they would stand in a file."""
    try:
        plain = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return []
    found: list[str] = []
    todo: list[Any] = [plain]
    while todo:
        each = todo.pop()
        if isinstance(each, str):
            found.append(each)
        elif isinstance(each, dict):
            todo.extend(cast("dict[str, Any]", each).values())
        elif isinstance(each, list):
            todo.extend(cast("list[Any]", each))
    longest = sorted(found, key=len, reverse=True)[:2]
    cut = [msgspec.json.encode(each)[1:-1][:NEEDLE_BYTES] for each in longest]
    return [each for each in cut if len(each) >= 2 * NEEDLE_BYTES_MIN]
