"""Whatever is deleted or forgotten, nothing of another tenant, subject, document or collection is touched."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import App, Passage
from penstock.core.knowledge.passages import Delete, Space, Upsert

TENANTS, IDS, WHO = ("a", "b"), ("x", "x#1", "x%231", "y"), ("anna", "ben", "")
puts = st.tuples(st.sampled_from(TENANTS), st.sampled_from(IDS), st.sampled_from(WHO))
deletes = st.tuples(
    st.sampled_from(TENANTS), st.sampled_from(("passage", "document", "subject")), st.sampled_from((*IDS, *WHO[:2]))
)


def is_meant(how, what, passage, subject):
    match how:
        case "passage":
            return passage == what
        case "document":
            root = what.replace("%23", "%2523").replace("#", "%23")
            return passage == root or passage.startswith(f"{root}#")
        case _:
            return subject == what


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=st.lists(puts, max_size=8), gone=deletes)
def test_a_delete_reaches_what_it_names_of_its_tenant_and_nothing_else(tmp_path_factory, kind, made, gone):
    async def life():
        app = App("library")
        app.knowledge("books")
        path = tmp_path_factory.mktemp("books") / "books.db"
        async with app.running(store="memory:" if kind == "memory" else f"sqlite:{path}") as live:
            expected = {}
            for tenant, passage, subject in made:
                metadata = {"subject": subject} if subject else {}
                await live.knowledge("books", tenant=tenant).put(Passage(passage, "a text", metadata))
                expected[tenant, passage] = subject
            tenant, how, what = gone
            books = live.knowledge("books", tenant=tenant)
            if how == "subject":
                await books.indexed()
                await live.forget(what, tenant=tenant)
            else:
                named = {"documents": [what]} if how == "document" else {"passage_ids": [what]}
                await books.delete(**named, consistency="strong")
            left = {
                (each, passage)
                for (each, passage), subject in expected.items()
                if each != tenant or not is_meant(how, what, passage, subject)
            }
            found = {(each, key) for each in TENANTS for key in await live.knowledge("books", tenant=each).digests()}
            assert found == left

    asyncio.run(life())


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    made=st.lists(puts, max_size=8),
    gone=st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from(IDS)), max_size=3),
)
def test_an_index_deletes_within_its_space(made, gone):
    from penstock.adapters.memory.passages import MemoryPassages

    async def life():
        index, spaces = MemoryPassages(), [Space(c, t, g) for c in "cd" for t in TENANTS for g in (1, 2)]
        await index.apply(
            [Upsert(space, Passage(key, "text"), None) for space in spaces for t, key, _ in made if t == space.tenant]
        )
        before = {space: set(await index.digests(space)) for space in spaces}
        await index.apply([Delete(Space("c", tenant, 1), key) for tenant, key in gone])
        for space in spaces:
            mine = {key for tenant, key in gone if space == Space("c", tenant, 1)}
            assert set(await index.digests(space)) == before[space] - mine

    asyncio.run(life())
