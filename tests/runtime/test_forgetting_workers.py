"""Several workers hear that somebody is forgotten: none goes on with what it had in memory, whoever was asked."""

import pytest

from penstock import App, Context, Event
from penstock.adapters.sqlite.store import open_sqlite_store


class Said(Event, key="who", subject="who"):
    who: str
    text: str


def clinic():
    app = App("clinic")

    @app.agent
    async def listen(said: Said, ctx: Context) -> list[str]:
        before = [each.content for each in await ctx.session.history()]
        last = await ctx.values.get("last", "")
        await ctx.session.add("user", said.text)
        await ctx.values.set("last", said.text)
        return [*before, last]

    return app


async def divided(path, partitions):
    async with open_sqlite_store(path) as store:
        await store.divide(await store.claim("divide"), partitions)
    return f"sqlite:{path}"


@pytest.mark.parametrize("asked", [0, 1])
async def test_all_workers_forget_whoever_is_asked(tmp_path, asked):
    url = await divided(tmp_path / "clinic.db", 4)
    people = [f"person-{number}" for number in range(6)]  # of all partitions
    async with clinic().running(store=url, beside=True) as one, clinic().running(store=url, beside=True) as two:
        for who in people:
            assert await one.call("listen", Said(who=who, text="first")) == [""]
            assert await two.call("listen", Said(who=who, text="second")) == ["first", "first"]
        for who in people[:2]:
            receipt = await (one, two)[asked].forget(who, within_s=40)
            assert receipt.erased["events"] == 2
        for number, who in enumerate(people):
            expected = [""] if number < 2 else ["first", "second", "second"]
            assert await (two, one)[asked].call("listen", Said(who=who, text="third")) == expected


async def test_a_worker_that_owns_no_partition_does_not_go_on_with_a_key_that_was_destroyed(tmp_path):
    url = await divided(tmp_path / "clinic.db", 1)
    async with clinic().running(store=url, beside=True) as one, clinic().running(store=url, beside=True) as two:
        idle, busy = (one, two) if one.engine.partitions == frozenset() else (two, one)
        assert idle.engine.partitions == frozenset()
        assert busy.engine.partitions == {0}
        for each in ("ann", "ben"):
            assert await idle.call("listen", Said(who=each, text="first")) == [
                ""
            ]  # sealed by the one that owns nothing
            await busy.forget(each, within_s=40)
            assert await idle.call("listen", Said(who=each, text="second")) == [""]
