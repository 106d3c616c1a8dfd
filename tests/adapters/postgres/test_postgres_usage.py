"""What takes space in the schema is counted by kind."""

from penstock.adapters.postgres.reader import open_postgres_reader
from penstock.adapters.postgres.store import open_postgres_store
from penstock.testing.commits import one_of_each


async def test_what_takes_space_is_counted(url):
    async with open_postgres_store(url) as store:
        await store.commit(await store.claim("w"), 1, one_of_each())
    usage = await open_postgres_reader(url).usage()
    counted = {(each.kind, each.name): each.rows for each in usage.parts}
    assert counted == {
        ("events", "t"): 1, ("runs", "a"): 1, ("journals", ""): 1, ("sessions", ""): 1, ("values", ""): 1,
        ("dead letters", ""): 1,
    } | {which: rows for which, rows in counted.items() if which[0] in ("timers", "streams")}  # fmt: skip
    assert usage.total_bytes > 0
