"""Somebody is forgotten in a Postgres: log, state, and passages in the same database or beside it."""

from penstock import App, Context, Event, Passage

ANNA, BEN = "anna@example.org", "ben@example.org"


class Said(Event, key="who", subject="who"):
    who: str
    text: str


def clinic():
    app = App("clinic")
    files = app.knowledge("files")

    @app.agent
    async def listen(said: Said, ctx: Context) -> str:
        await ctx.session.add("user", said.text)
        await ctx.values.set("last", said.text)
        files.put(Passage(f"note {said.who}", said.text))
        return said.text

    return app


async def test_a_subject_goes_from_tables_and_index_of_its_tenant_alone(url):
    async with clinic().running(store=url) as live:
        for tenant in ("default", "u"):
            for who in (ANNA, BEN):
                await live.call("listen", Said(who=who, text=f"{who} said it"), tenant=tenant)
        await live.knowledge("files").indexed()
        receipt = await live.forget(ANNA)
        assert (receipt.erased["passages"], receipt.erased["messages"], receipt.keys) == (1, 1, 1)
        assert (await live.traces(ANNA)).is_nothing
        assert set(await live.knowledge("files").digests()) == {f"note {BEN}"}
        assert set(await live.knowledge("files", tenant="u").digests()) == {f"note {ANNA}", f"note {BEN}"}
        assert await live.engine.parts.store.values("u", "listen", ANNA) != {}
        assert live.is_receipt(receipt, ANNA)
    async with clinic().running(store=url) as live:
        assert await live.forgotten(ANNA) == receipt
