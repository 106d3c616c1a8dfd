"""What can go wrong with a Qdrant is told within seconds, in errors that name the setting."""

import secrets
import socket

import numpy as np
import pytest

from penstock.errors import Invalid, LimitReached, NotLetIn, Refused, Unavailable
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, near, put, rows
from penstock.vector_stores import open_vectors

pytestmark = pytest.mark.timeout(180)  # whoever comes first starts the servers, on a busy machine too


def opened(server, *, key=None, prefix=None, options=""):
    url = f"{server.url}?prefix={prefix or 't' + secrets.token_hex(6)}{options}"
    return open_vectors(url, {"QDRANT_API_KEY": server.key if key is None else key})


async def test_a_key_that_is_not_known_is_refused(qdrant):
    if not qdrant.key:
        pytest.skip("NOT TESTED ON QDRANT: the server that is given asks for no key")
    with pytest.raises(Invalid, match=r"setting `vectors`.*QDRANT_API_KEY"):
        async with opened(qdrant, key="wrong"):
            pass


async def test_a_key_that_is_taken_back_is_an_outage_that_names_its_setting(qdrant):
    with qdrant.lent("for a while") as take_back:
        async with opened(qdrant, key="for a while") as index:
            await index.apply([put("a", EAST)])
            take_back()
            with pytest.raises(NotLetIn, match="set QDRANT_API_KEY"):
                await index.apply([put("b", EAST)])
            with pytest.raises(NotLetIn, match=r"the setting `vectors`.*set QDRANT_API_KEY"):
                await near(index, EAST)


async def test_a_server_that_does_not_answer_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="setting `vectors`"):
        async with open_vectors(f"qdrant://127.0.0.1:{port}", {}):
            pass


@pytest.mark.parametrize(
    ("url", "findings"),
    [
        ("qdrant://", ["no host"]),
        (
            "qdrant://h:x?prefix=a-b&replicas=0&search=fast&colour=red",
            ["port", "prefix", "replicas", "search", "colour"],
        ),
        ("qdrant://user:secret@h", ["holds a user or a key"]),
        ("redis://h", ["not known"]),
    ],
)
async def test_an_address_that_is_none_gives_all_findings(url, findings):
    with pytest.raises(Invalid) as raised:
        async with open_vectors(url, {}):
            pass
    text = str(raised.value)
    assert all(each in text for each in findings), text
    assert "secret" not in text


async def test_vectors_of_another_length_are_refused_and_nothing_is_written(qdrant):
    async with opened(qdrant) as index:
        await index.apply([put("a", EAST)])
        with pytest.raises(Refused, match="2 dimensions and the space 3"):
            await index.apply([put("b", (1.0, 2.0)), put("c", (1.0, 2.0))])
        with pytest.raises(Refused, match="2 dimensions and the space 3"):
            await index.apply([put("b", EAST), put("c", (1.0, 2.0))])
        with pytest.raises(Refused, match="2 dimensions and the space 3"):
            await index.nearest(SPACE, np.ones((1, 2), np.float32), limit=1)
        with pytest.raises(LimitReached):
            await index.nearest(SPACE, rows(EAST), limit=10_001)
        assert set(await index.digests(SPACE)) == {"a"}


async def test_a_space_that_was_emptied_takes_vectors_of_another_length(qdrant):
    async with opened(qdrant) as index:
        await index.apply([put("a", EAST)])
        assert await index.clear(SPACE, limit=10) == 1
        await index.apply([put("a", (1.0, 0.0))])
        assert await near(index, (1.0, 0.0)) == ["a"]


async def test_what_was_written_is_there_for_another_process_and_another_prefix_sees_nothing(qdrant):
    prefix = f"t{secrets.token_hex(6)}"
    async with opened(qdrant, prefix=prefix) as one, opened(qdrant, prefix=prefix) as two, opened(qdrant) as other:
        assert await near(two, EAST) == []
        await one.apply([put("a", EAST)])
        await two.apply([put("b", NORTH)])
        for each in (one, two):
            assert await near(each, EAST) == ["a", "b"]
        assert await near(other, EAST) == []
        assert await other.spaces(SPACE.collection) == []


async def test_a_place_that_someone_dropped_is_made_again(qdrant):
    prefix = f"t{secrets.token_hex(6)}"
    async with opened(qdrant, prefix=prefix) as one, opened(qdrant, prefix=prefix) as two:
        await one.apply([put("a", EAST)])
        assert await near(two, EAST) == ["a"]
        assert await one.clear(SPACE, limit=10) == 1
        assert await near(two, EAST) == []
        await two.apply([put("b", EAST)])
        assert await near(one, EAST) == ["b"]


async def test_searching_exactly_finds_the_same(qdrant):
    async with opened(qdrant, options="&search=exact") as index:
        await index.apply([put("a", EAST), put("b", NORTH)])
        assert await near(index, EAST) == ["a", "b"]
