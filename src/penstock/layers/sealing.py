"""What is about somebody, sealed with a key of (tenant, subject): without the key no copy of it can be read any more.

- Each content has a nonce of its own, and opens in its own event only (AES-GCM, with tenant, subject and event id beside it).
- A key that is new comes into the store by the very commit that has something sealed with it. Several workers may each make one:
  a subject has as many as it needs, and they all go together.
- Keys are kept in memory only where who forgets somebody tells this process (`hears`): it owns a partition. One that owns none
  asks the store for each commit, or it would go on with a key that was destroyed.
- A key that is `retired` opens, and seals no more: so nothing that is said meanwhile is lost when it goes.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from msgspec.structs import replace

from penstock.core.agents.unit import Sent, ValueWrite, Writes
from penstock.core.events.envelope import Envelope, Recorded
from penstock.core.events.subjects import (
    KEY_BYTES,
    KEY_ID_BYTES,
    NONCE_BYTES,
    OWNER,
    SECRET_BYTES,
    SHARED,
    Sealed,
    bound_to,
    decode_content,
    encode_content,
    gone,
    keys_in,
    packed,
    pseudonym,
    retired_in,
    sealed_in,
)
from penstock.errors import Finding, Invalid, Missing

LOOKS_MAX = 4  # for a key that is not known
LOOK_S = 0.02
KEPT_MAX = 20_000  # subjects whose keys are in memory
SEALED = b'{"sealed by penstock":"pip install penstock[erasure]"}'  # in the place of data, without the library
Who = tuple[str, str]  # tenant and pseudonym


class KeyReader(Protocol):
    """Where keys are kept."""

    async def values(self, tenant: str, agent: str, key: str) -> Mapping[str, bytes]: ...


class KeyStore(KeyReader, Protocol):
    """Where keys are kept, and the secret that pseudonyms are made with."""

    async def secret(self, offered: bytes) -> bytes: ...


class _Keys:
    """The keys of one subject, by id, and the one that seals."""

    __slots__ = ("ciphers", "sealing")

    def __init__(self) -> None:
        self.ciphers: dict[bytes, Any] = {}
        self.sealing: bytes | None = None


async def sealing_of(store: KeyStore) -> "Sealing":
    """Return what seals for a store; `Missing` without the library."""
    cipher = _cipher()
    return Sealing(store, await store.secret(os.urandom(SECRET_BYTES)), cipher)


def opening_of(store: KeyReader) -> "Sealing | None":
    """Return what opens for those who only look at a store; None without the library."""
    return Sealing(store, b"", _cipher()) if can_seal() else None


def can_seal() -> bool:
    """Whether the library is there."""
    try:
        _cipher()
    except Missing:
        return False
    return True


class Sealing:
    """Seals and opens what is about somebody."""

    def __init__(self, store: KeyReader, secret: bytes, cipher: Any) -> None:
        self._store = store
        self._cipher = cipher
        self.secret = secret
        self._names: OrderedDict[Who, str] = OrderedDict()  # tenant and subject -> pseudonym
        self._known: OrderedDict[Who, _Keys] = OrderedDict()
        self._forgotten = 0  # how often something was let go: what was being read then may be of before
        self.hears: Callable[[], bool] = _always

    def name(self, tenant: str, subject: str) -> str:
        """Return the pseudonym of a subject."""
        known = self._names.get((tenant, subject))
        if known is None:
            known = self._names[tenant, subject] = pseudonym(self.secret, tenant, subject)
            _shrink(self._names)
        return known

    def forget(self, tenant: str, name: str) -> None:
        """Have nothing of a subject in memory: its keys are about to go, or went."""
        self._known.pop((tenant, name), None)
        self._forgotten += 1
        self._names = OrderedDict((who, each) for who, each in self._names.items() if each != name)

    def lost(self) -> None:
        """A commit was not made, so that keys that it brought are in no store; or this process was not told who was forgotten."""
        self._known.clear()
        self._forgotten += 1

    async def seal(self, writes: Writes) -> None:  # noqa: C901 - a loop for each kind of row
        """Seal what a commit has of somebody, and have it bring the keys that are new."""
        if not self.hears():
            self.lost()
        for place, each in enumerate(writes.events):
            if each.event.subject:
                writes.events[place] = Recorded(each.position, await self._sealed(each.event, writes))
        for place, sent in enumerate(writes.sent):
            if sent.event.subject:
                writes.sent[place] = Sent(sent.topic, sent.partition, await self._sealed(sent.event, writes))
        for write in writes.timers:
            if write.timer is not None and write.timer.event.subject:
                write.timer = replace(write.timer, event=await self._sealed(write.timer.event, writes))
        for delta in writes.sessions:
            if delta.subject and delta.subject != SHARED:
                delta.subject = self.name(delta.tenant, delta.subject)
        for value in writes.values:
            if value.subject and value.subject != SHARED:
                value.subject = self.name(value.tenant, value.subject)

    async def opened(self, found: Sequence[Recorded]) -> Sequence[Recorded]:
        """Return events with what is sealed in them; one whose key is gone says that it was forgotten."""
        if not any(each.event.subject for each in found):
            return found
        if not self.hears():
            self.lost()
        asked: set[Who] = set()
        return [
            Recorded(each.position, await self._opened(each.event, asked)) if each.event.subject else each
            for each in found
        ]

    async def opened_event(self, event: Envelope) -> Envelope:
        """Return one event as `opened` does."""
        return await self._opened(event, set()) if event.subject else event

    async def _sealed(self, event: Envelope, writes: Writes) -> Envelope:
        name = self.name(event.tenant, event.subject)
        keys = await self._keys((event.tenant, name))
        if keys.sealing is None:
            keys.sealing, body = os.urandom(KEY_ID_BYTES), os.urandom(KEY_BYTES)
            keys.ciphers[keys.sealing] = self._cipher(body)
            writes.values.append(ValueWrite(event.tenant, OWNER, name, keys.sealing.hex(), body))
        nonce = os.urandom(NONCE_BYTES)
        body = keys.ciphers[keys.sealing].encrypt(nonce, encode_content(event), bound_to(event, name))
        return replace(event, key="", subject=name, data=packed(Sealed(keys.sealing, nonce, body)))

    async def _opened(self, event: Envelope, asked: set[Who]) -> Envelope:
        sealed = sealed_in(event.data)
        if sealed is None:
            return event  # it was forgotten, or its blob is missing: who decodes it says so
        who = (event.tenant, event.subject)
        keys = await self._keys(who)
        for look in range(
            0 if who in asked else LOOKS_MAX
        ):  # another worker's may be newer, and must not be taken for gone
            if sealed.key_id in keys.ciphers:
                break
            asked.add(who)
            await asyncio.sleep(look * LOOK_S)
            self._known.pop(who, None)
            keys = await self._keys(who)
        if sealed.key_id not in keys.ciphers:
            return gone(event)
        try:
            body = keys.ciphers[sealed.key_id].decrypt(sealed.nonce, sealed.body, bound_to(event, event.subject))
        except Exception as error:  # the library's own class is not imported before it is needed
            finding = Finding("data", "was changed since it was sealed", "restore a backup of the store")
            raise Invalid(f"what is stored of {event.id}", (finding,)) from error
        content = decode_content(body)
        return replace(event, key=content.key, subject=content.subject, data=content.data)

    async def _keys(self, who: Who) -> _Keys:
        known = self._known.get(who)
        if known is None:
            tenant, name = who
            before = -1
            values: Mapping[str, bytes] = {}
            while before != self._forgotten:
                before = self._forgotten
                values = await self._store.values(tenant, OWNER, name)
            known = _Keys()
            known.ciphers = {key_id: self._cipher(body) for key_id, body in keys_in(values).items()}
            usable = sorted(known.ciphers.keys() - set(retired_in(values)))
            known.sealing = usable[0] if usable else None
            known = self._known.setdefault(who, known)
            _shrink(self._known)
        return known


def _always() -> bool:
    """Stand in for a process that is alone with its store."""
    return True


def unreadable(event: Envelope) -> Envelope:
    """Return an event as it is shown where nothing can open it."""
    return event if sealed_in(event.data) is None else replace(event, data=SEALED)


def _shrink(known: OrderedDict[Who, Any]) -> None:
    while len(known) > KEPT_MAX:
        known.popitem(last=False)


def _cipher() -> Any:
    try:
        return import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ImportError as error:
        what = "cryptography, which seals what is about somebody,"
        raise Missing(what, "pip install 'penstock[erasure]'") from error
