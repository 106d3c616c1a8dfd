"""What is deleted of one user or tenant is that and nothing else: in the store itself, whatever ids and metadata say."""

import pytest

from penstock import App, KnowledgeEvent, Passage
from penstock.core.knowledge.memories import SUBJECT
from penstock.errors import Invalid, Missing

A, B = "a", "b"
HOSTILE = ["*", "%", "", "a' OR '1'='1", '{"user": "a"}', "a\0b"]


def companion():
    app = App("companion")
    app.memory("turns")
    app.knowledge("books")
    return app


@pytest.fixture
def anyio_backend():
    return "asyncio"  # files and threads know nothing of virtual time


@pytest.fixture(params=["memory", "sqlite"])
async def live(request, tmp_path):
    store = "memory:" if request.param == "memory" else f"sqlite:{tmp_path}/companion.db"
    async with companion().running(store=store) as running:
        yield running


async def everything(live):
    """All passages of all tenants and collections, as they lie in the store."""
    index = live.engine.services.collection("turns").index
    found = {}
    for collection in ("turns", "books"):
        for space in await index.spaces.spaces(collection):
            for each in (await index.reads.passages(space, list(await index.vectors.digests(space)))).values():
                found[space.tenant, collection, each.id] = each.text
    return found


async def filled(live):
    for tenant in ("default", "other"):
        turns, books = live.memory("turns", tenant=tenant), live.knowledge("books", tenant=tenant)
        for user in (A, B):
            await turns.remember(f"{user} in {tenant}", user=user, scope="user", id=f"{user}1", consistency="strong")
            await books.put(Passage(f"{user}2", f"{user} in {tenant}", {SUBJECT: user}), consistency="strong")
    return await everything(live)


async def test_deleting_one_users_memory_touches_nothing_of_another(live):
    """mem0 #3928: `delete_all(user_id=A)` deleted the memories of all users."""
    before = await filled(live)
    assert len(before) == 8
    mine = [each.id for each in await live.memory("turns").list(user=A)]
    await live.memory("turns").forget(*mine)
    gone = {("default", "turns", "a1")}
    assert await everything(live) == {key: text for key, text in before.items() if key not in gone}
    await live.forget(A)
    gone.add(("default", "books", "a2"))
    assert await everything(live) == {key: text for key, text in before.items() if key not in gone}
    for odd in HOSTILE:
        try:
            await live.memory("turns").forget(odd)
            await live.knowledge("books").delete(documents=[odd], consistency="strong")
        except (Invalid, Missing):
            continue
    assert await everything(live) == {key: text for key, text in before.items() if key not in gone}


async def test_metadata_cannot_change_the_tenant(live):
    """mem0 #6277: what metadata said of its user or tenant decided whose it was."""
    before = await filled(live)
    posing = {"tenant": "other", "tenant_id": "other", "collection": "books", SUBJECT: B, "user_id": B}
    books = live.knowledge("books")
    await books.put(Passage("posing", "B in other", posing), consistency="strong")
    event = {"agent_id": "x", "action": "UPDATE", "payload": "B in other", "metadata": {**posing, "document_id": "b2"}}
    await books.apply([KnowledgeEvent.checked(event)], consistency="strong")
    await books.apply([KnowledgeEvent.checked({**event, "action": "DELETE", "payload": ""})], consistency="strong")
    with pytest.raises(Invalid):
        await live.memory("turns").remember("x", user=A, scope="user", metadata={SUBJECT: B})
    after = await everything(live)
    of_others = {key: text for key, text in before.items() if key[0] == "other"}
    assert {key: text for key, text in after.items() if key[0] == "other"} == of_others
    assert ("default", "books", "posing") in after
    assert {each.id for each in await live.knowledge("books", tenant="other").search("B in other", limit=50)} == {
        "a2",
        "b2",
    }
