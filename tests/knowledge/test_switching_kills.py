"""SIGKILL of the worker that leads a switch, in its middle: no gate stays closed, and the switch comes about."""

import asyncio

from fork_server import FORKS
from sharing import NAMES, Waiting, all_own, expected, text, worker

from penstock import Document
from penstock.adapters.sqlite.store import open_sqlite_store
from penstock.core.events.partitions import partition_of
from penstock.core.knowledge import generations as rules
from penstock.core.knowledge.passages import DEFAULT_TENANT
from penstock.runtime.generations import CATALOGUE, OWNER

PARTITIONS = 6
COLLECTIONS = ("books", "films", "songs", "maps", "plays", "poems")


def living(url):
    """Be a worker until killed."""
    asyncio.run(_living(url))


async def _living(url):
    async with worker(url, collections=COLLECTIONS):
        await asyncio.Event().wait()


async def owners(store):
    return dict(store.reader.execute("SELECT partition, epoch FROM part").fetchall())


async def until(look, holds):
    """Wait for what another process does."""
    async with asyncio.timeout(30):
        while not holds(found := await look()):  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.002)
    return found


async def held_by(store, name):
    stored = await store.values(DEFAULT_TENANT, OWNER, name)
    return rules.decode(stored[CATALOGUE]).held_by


async def test_a_switch_goes_on_whose_leader_is_killed_in_its_middle(tmp_path):
    path = tmp_path / "library.db"
    async with open_sqlite_store(path) as store:
        await store.divide(await store.claim("divide"), PARTITIONS)
    url, slow = f"sqlite:{path}", Waiting(32, 1)
    leader = FORKS.Process(target=living, args=(url,), daemon=True)
    try:
        async with (
            worker(url, collections=COLLECTIONS, one=slow) as live,
            open_sqlite_store(path, shared=True) as store,
        ):
            leader.start()
            await until(lambda: owners(store), lambda found: len(set(found.values()) - {0}) == 2)
            await all_own([live])
            mine = live.engine.partitions
            name = next(each for each in COLLECTIONS if home_of(each) not in mine)
            await switch_and_kill(live, store, slow, name, leader)
    finally:
        leader.kill()
        await asyncio.to_thread(leader.join, 10)


def home_of(name):
    return partition_of(DEFAULT_TENANT, name, PARTITIONS)


async def switch_and_kill(live, store, slow, name, leader):
    books = live.knowledge(name)
    for each in NAMES:
        await books.put(Document(each, "", text(each, 0)), consistency="strong")
    number = await books.generations.build("two")
    await books.generations.ready(number, within_s=30)
    mine = next(
        each
        for each in map("mine {}".format, range(100))
        if partition_of(DEFAULT_TENANT, each, PARTITIONS) in live.engine.partitions
    )
    await books.put(Document(mine, "", "wait here"))  # our gate cannot close before this is indexed
    await slow.waits.wait()
    switching = asyncio.ensure_future(books.generations.switch(number))
    await until(lambda: held_by(store, name), bool)
    leader.kill()
    await asyncio.to_thread(leader.join, 10)
    slow.may_go_on.set()
    assert await asyncio.wait_for(switching, 40) == number
    assert await held_by(store, name) == ""
    for each in NAMES:
        await books.put(Document(each, "", text(each, 1)), consistency="strong")
    assert live.engine.services.collection(name).generations.searching.number == number
    wanted = expected(dict.fromkeys(NAMES, 1))
    assert {key: digest for key, digest in (await books.digests()).items() if key != mine} == wanted
    assert (await books.generations.verify()).is_equal
    assert not await live.dead_letters()
