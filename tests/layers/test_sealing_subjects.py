"""What is about somebody is sealed before it is stored, opens in its own event only, and reads as gone without its key."""

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from penstock.adapters.memory.store import MemoryStore
from penstock.core.agents.unit import Sent, ValueWrite, Writes
from penstock.core.events.envelope import Recorded
from penstock.core.events.subjects import FORGOTTEN, OWNER, RETIRED
from penstock.core.timing.timers import Timer, TimerWrite
from penstock.errors import Invalid
from penstock.layers.offloading_store import OffloadingStore
from penstock.layers.sealing import sealing_of
from penstock.ports.rows import KINDS
from penstock.testing.blobs_contract import BlobStoreContract
from penstock.testing.catalog_contract import RunCatalogContract
from penstock.testing.commits import recorded
from penstock.testing.log_contract import EventLogContract
from penstock.testing.retention_contract import PrunableStoreContract
from penstock.testing.state_contract import StateStoreContract
from penstock.testing.virtual_time import VirtualClock

SECRET = "what only Anna said"


@dataclass
class Worker:
    """One process on a store."""

    inner: MemoryStore
    store: OffloadingStore
    sealing: object
    number: int = 0
    claims: list = field(default_factory=list)

    async def commit(self, *events, **others):
        self.claims = self.claims or [await self.store.join("worker")]
        self.number += 1
        await self.store.commit(self.claims[0], self.number, Writes(events=list(events), **others))


async def worker(disk=None, bytes_min=64 * 1024):
    inner = MemoryStore(disk)
    sealing = await sealing_of(inner)
    return Worker(inner, OffloadingStore(inner, VirtualClock(), bytes_min=bytes_min, sealing=sealing), sealing)


def said(event_id, offset, subject="anna", text=SECRET):
    plain = recorded(event_id, offset=offset)
    event = replace(plain.event, data=f'{{"text":"{text}"}}'.encode(), key=f"desk of {subject}", subject=subject)
    return Recorded(plain.position, event)


async def stored(inner):
    return repr([(await inner.rows(kind, after=b"", limit=999)).rows for kind in KINDS]) + repr(inner.disk.blobs)


@pytest.mark.parametrize("bytes_min", [48, 64 * 1024])
async def test_what_is_read_is_what_was_written_and_what_lies_there_is_sealed(bytes_min):
    mine = await worker(bytes_min=bytes_min)
    events = [said("e1", 1), said("e2", 2, "ben", "hello"), said("e3", 3, "", "open")]
    timer = Timer("t1", 0, "wall", 5, 0, "t", said("t1", 0).event)
    sent = [Sent("t", 0, said("e4", 0).event)]
    await mine.commit(*events, timers=[TimerWrite("t1", timer)], sent=list(sent))
    lies = await stored(mine.inner)
    assert SECRET not in lies
    assert "anna" not in lies
    assert "hello" not in lies
    assert "open" in lies
    again = await worker(mine.inner.disk)
    assert list(await again.store.read("t", 0, after=0, limit=9)) == events
    assert await again.store.event("e1") == events[0]
    assert await again.store.timers() == [timer]
    assert [each.sent for each in await again.store.submitted([0], limit=9)] == sent
    assert list(await again.store.origin("e2")) == [events[1]]


async def test_without_its_key_an_event_reads_as_gone_and_others_do_not():
    mine = await worker()
    await mine.commit(said("e1", 1), said("e2", 2, "ben"))
    name = mine.sealing.name("t", "anna")
    [(key_id, _)] = (await mine.inner.values("t", OWNER, name)).items()
    await mine.commit(values=[ValueWrite("t", OWNER, name, key_id, None)])
    mine.sealing.forget("t", name)
    first, second = await mine.store.read("t", 0, after=0, limit=9)
    assert (first.event.data, first.event.key, first.event.id) == (FORGOTTEN, "", "e1")
    assert second == said("e2", 2, "ben")


async def test_a_retired_key_opens_and_seals_no_more():
    mine = await worker()
    await mine.commit(said("e1", 1))
    name = mine.sealing.name("t", "anna")
    [old] = await mine.inner.values("t", OWNER, name)
    await mine.commit(values=[ValueWrite("t", OWNER, name, RETIRED, b"\x91\xc4\x10" + bytes.fromhex(old))])
    mine.sealing.forget("t", name)
    await mine.commit(said("e2", 2))
    assert list(await mine.store.read("t", 0, after=0, limit=9)) == [said("e1", 1), said("e2", 2)]
    await mine.commit(values=[ValueWrite("t", OWNER, name, old, None)])
    mine.sealing.forget("t", name)
    first, second = await mine.store.read("t", 0, after=0, limit=9)
    assert first.event.data == FORGOTTEN
    assert second == said("e2", 2)


async def test_workers_with_keys_of_their_own_read_each_other():
    one = await worker()
    two = await worker(one.inner.disk)
    await one.commit(said("e1", 1))
    assert len(await two.store.read("t", 0, after=0, limit=9)) == 1  # it knows the first key
    one.sealing.lost()
    three = await worker(one.inner.disk)
    three.sealing._known["t", three.sealing.name("t", "anna")] = type(await three.sealing._keys(("t", "x")))()
    await three.commit(said("e2", 2))  # as one that began at the same moment
    assert list(await two.store.read("t", 0, after=0, limit=9)) == [said("e1", 1), said("e2", 2)]
    assert len(await one.inner.values("t", OWNER, one.sealing.name("t", "anna"))) == 2


async def test_what_was_moved_into_another_event_or_changed_is_refused():
    mine = await worker()
    await mine.commit(said("e1", 1))
    [sealed] = await mine.inner.read("t", 0, after=0, limit=1)
    moved = Recorded(replace(sealed.position, offset=2), replace(sealed.event, id="e2"))
    with pytest.raises(Invalid, match="was changed since it was sealed"):
        await mine.sealing.opened([moved])
    damaged = replace(sealed.event, data=sealed.event.data[:-1] + b"x")
    with pytest.raises(Invalid, match="was changed since it was sealed"):
        await mine.sealing.opened([Recorded(sealed.position, damaged)])


async def test_a_subject_of_another_tenant_has_another_name_and_another_key():
    mine = await worker()
    other = said("e2", 2)
    await mine.commit(said("e1", 1), Recorded(other.position, replace(other.event, tenant="u")))
    names = {tenant: mine.sealing.name(tenant, "anna") for tenant in "tu"}
    assert names["t"] != names["u"]
    keys = [await mine.inner.values(tenant, OWNER, names[tenant]) for tenant in "tu"]
    assert len(keys[0].keys() | keys[1].keys()) == 2


class TestASealingStoreKeepsTheContracts(
    EventLogContract, StateStoreContract, RunCatalogContract, PrunableStoreContract, BlobStoreContract
):
    @pytest.fixture
    def disk(self):
        return MemoryStore().disk

    @pytest.fixture
    async def store(self, disk):
        return (await worker(disk)).store

    @pytest.fixture
    def log(self, store):
        return store

    @pytest.fixture
    def reopened(self, disk):
        async def another():
            return (await worker(disk)).store

        return another
