"""Somebody is forgotten in a Postgres: log, state, and passages in the same database or beside it."""

from penstock import App, Context, Document, Event, Passage
from penstock.testing.hashed_embedder import HashedEmbedder

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


async def test_passages_of_all_generations_words_and_what_was_exported_go(url):
    """What a person said is in no passage, posting, vector or build of any generation any more; what others said is."""
    app = clinic()
    app.embedder("two", HashedEmbedder(16, 2))
    async with app.running(store=url) as live:
        files = live.knowledge("files")
        for who in (ANNA, BEN):
            await files.put(
                Document(f"letter {who}", "", f"# A\n\n{'knee ' * 200}\n\n# B\n\n{who} limps", {"subject": who}),
                consistency="strong",
            )
        number = await files.generations.build("two")
        await files.generations.ready(number, within_s=30)
        await files.generations.switch(number)
        assert {each.id.partition("#")[0] for each in await files.search("limps", mode="words")} == {
            f"letter {ANNA}",
            f"letter {BEN}",
        }
        receipt = await live.forget(ANNA)
        assert receipt.erased["passages"] >= 4, "those of both generations"
        assert (await live.traces(ANNA, texts=[f"{ANNA} limps"])).is_nothing
        for generation in (1, 2):
            for mode in ("words", "vectors", "hybrid"):
                found = await files.search("limps knee", mode=mode, generation=generation, limit=50)
                assert {each.id.partition("#")[0] for each in found} == {f"letter {BEN}"}
        assert (await files.generations.verify()).missing == 0
        await files.generations.ready(await files.generations.build("two"), within_s=30)
        assert {each.partition("#")[0] for each in await files.digests()} == {f"letter {BEN}"}
    async with app.running(store=url) as live:
        assert {each.id.partition("#")[0] for each in await live.knowledge("files").search("limps")} == {
            f"letter {BEN}"
        }
