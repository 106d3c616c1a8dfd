"""Real processes share a store: one is killed (SIGKILL) while all index, build and switch, and nothing is lost, doubled or stale."""

import asyncio
import os

from fork_server import FORKS
from sharing import NAMES, all_own, expected, put, worker

from penstock.adapters.sqlite.store import open_sqlite_store


def living(url):
    """Be a worker until killed."""
    asyncio.run(_living(url))


async def _living(url):
    async with worker(url):
        await asyncio.Event().wait()


async def workers_there(store, count):
    """Wait until so many own partitions, and return the epochs of their claims."""
    async with asyncio.timeout(30):
        while len(owners := {each for each in (await owned(store)).values() if each}) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return owners


async def owned(store):
    rows = store.reader.execute("SELECT partition, epoch FROM part").fetchall()
    return {row[0]: row[1] for row in rows}


async def test_a_killed_worker_loses_nothing_of_what_all_index_build_and_switch(tmp_path):
    path = tmp_path / "library.db"
    async with open_sqlite_store(path) as store:
        await store.divide(await store.claim("divide"), 6)
    url = f"sqlite:{path}"
    others = [FORKS.Process(target=living, args=(url,), daemon=True) for _ in range(2)]
    for each in others:
        each.start()
    try:
        async with worker(url) as live, open_sqlite_store(path, shared=True) as store:
            await workers_there(store, 3)
            await all_own([live])
            await index_build_and_switch(live, others[0])
    finally:
        for each in others:
            each.kill()
            each.join(10)


async def index_build_and_switch(live, victim):
    books = live.knowledge("books")
    for name in NAMES:
        await put(live, name, 0, "ann")
    number = await books.generations.build("two", per_s=40, switch=True)
    killed, last = False, dict.fromkeys(NAMES, 0)
    for version in range(1, 4):
        for place, name in enumerate(NAMES):
            if version == 2 and place == 3:
                os.kill(victim.pid, 9)
                killed = True
            await put(live, name, version, f"agent {place}")
            last[name] = version
            [found, *_] = await books.search(f"{name} v{version} p0", mode="words", limit=1)
            assert f"{name} v{version}" in found.text, "what was strong is found"
    assert killed
    state = await books.generations.ready(number, within_s=60)
    assert state.generation.status == "serving"
    await books.refresh()
    assert await books.digests() == expected(last)
    assert (await books.generations.verify()).is_equal
    assert not await live.dead_letters()
