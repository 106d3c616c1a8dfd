"""What can go wrong with a Milvus is told within seconds, in errors that name the setting; what is its own is bounded."""

import secrets
import socket

import numpy as np
import pytest

from penstock.adapters.milvus.places import MilvusPlaces
from penstock.adapters.milvus.server import address_of, open_server, translated
from penstock.core.knowledge.passages import Delete, Space
from penstock.core.knowledge.places import place
from penstock.errors import Invalid, LimitReached, NotLetIn, Refused, Unavailable
from penstock.testing.vectors_contract import EAST, NORTH, SPACE, near, put
from penstock.vector_stores import open_vectors

pytestmark = pytest.mark.timeout(180)  # whoever comes first starts the servers, on a busy machine too


def opened(server, prefix=None, options=""):
    return open_vectors(f"{server}?prefix={prefix or 't' + secrets.token_hex(6)}{options}", {})


async def test_a_server_that_does_not_answer_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="setting `vectors`"):
        async with open_vectors(f"milvus://127.0.0.1:{port}", {}):
            pass


@pytest.mark.parametrize(
    ("url", "findings"),
    [
        ("milvus://", ["names no host"]),
        ("milvus:folder", [".db"]),
        (
            "milvus://h:x?prefix=a-b&consistency=never&index=ANY&colour=red",
            ["port", "prefix", "consistency", "index", "colour"],
        ),
        ("milvus://user:secret@h", ["holds a user or a key"]),
    ],
)
def test_an_address_that_is_none_gives_all_findings(url, findings):
    with pytest.raises(Invalid) as raised:
        address_of(url)
    text = str(raised.value)
    assert all(each in text for each in findings), text
    assert "secret" not in text


def test_a_token_that_is_not_known_names_its_setting_and_gives_no_event_up():
    class AuthError(Exception):
        code = 1401

    error = translated(AuthError("auth check failure, please check username and password"), "http://h:1", "connecting")
    assert isinstance(error, NotLetIn)
    assert "MILVUS_TOKEN" in str(error)


async def test_what_milvus_cannot_hold_is_refused_before_anything_is_written(milvus):
    async with opened(milvus) as index:
        for too_much in (
            put("b", EAST, text="x" * 65_536),
            put("b", EAST, metadata={"f": "x" * 65_536}),
            put("b", EAST, metadata={str(number): "1" for number in range(3_000)}),
        ):
            with pytest.raises(LimitReached, match="in Milvus"):
                await index.apply([put("a", EAST), too_much])
        assert await index.digests(SPACE) == {}
        await index.apply([put("a", EAST, text="ä" * 30_000)])
        assert await near(index, EAST) == ["a"]


async def test_vectors_of_another_length_are_refused_and_nothing_is_written(milvus):
    async with opened(milvus) as index:
        await index.apply([put("a", EAST)])
        with pytest.raises(Refused, match="2 dimensions and the space 3"):
            await index.apply([put("b", (1.0, 2.0)), put("c", (1.0, 2.0))])
        with pytest.raises(Refused, match="2 dimensions and the space 3"):
            await index.nearest(SPACE, np.ones((1, 2), np.float32), limit=1)
        assert set(await index.digests(SPACE)) == {"a"}


async def test_pages_have_all_rows_of_the_tenant_and_no_other(milvus):
    async with open_server(address_of(milvus), {}) as server:
        places = MilvusPlaces(server, consistency="Strong", index="")
        at = place(f"t{secrets.token_hex(6)}", "pages", 1, 2)
        await places.make(at)
        rows = [(put(f"{number}", (1.0, 0.0)).passage, np.ones(2, np.float32)) for number in range(300)]
        await places.put(at, "mine", rows)
        await places.put(at, "others", rows[:50])
        found: dict[str, str] = {}
        for number in range(16):  # as if they were too many for one page
            page = await places.page(at, "mine", f"1/{number}", 100)
            assert page is not None
            assert not page[0].keys() & found.keys()
            assert page[1] == (f"1/{number + 1}" if number < 15 else "")
            found |= page[0]
        assert found == {passage.id: passage.digest for passage, _ in rows}
        assert set(await places.tenants(at) or ()) == {"mine", "others"}
        await places.drop(at)
        assert await places.page(at, "mine", "", 100) is None


async def test_two_processes_see_each_others_writes_and_drops(milvus):
    prefix = f"t{secrets.token_hex(6)}"
    async with opened(milvus, prefix) as one, opened(milvus, prefix) as two:
        assert await near(two, EAST) == []
        await one.apply([put("a", EAST)])
        await two.apply([put("b", NORTH)])
        for each in (one, two):
            assert await near(each, EAST) == ["a", "b"]
        assert await one.clear(SPACE, limit=10) == 2
        assert await near(two, EAST) == []
        await two.apply([put("c", EAST)])
        assert await near(one, EAST) == ["c"]


async def test_a_file_of_milvus_lite_is_there_after_opening_again(tmp_path):
    url = f"milvus:{tmp_path}/below/vectors.db"
    async with open_vectors(url, {}) as index:
        await index.apply([put("a", EAST), put("b", NORTH), put("c", NORTH), put("bare", None)])
        await index.apply([Delete(SPACE, "c")])
    async with open_vectors(url, {}) as index:
        assert await near(index, EAST) == ["a", "b"]
        assert set(await index.digests(SPACE)) == {"a", "b", "bare"}
        assert await index.spaces(SPACE.collection) == [Space("handbook")]


async def test_a_write_is_found_by_the_next_search_of_another_process_too(milvus):
    prefix = f"t{secrets.token_hex(6)}"
    async with opened(milvus, prefix) as one, opened(milvus, prefix) as two:
        for number in range(30):
            writer, searcher = (one, two) if number % 2 else (two, one)
            await writer.apply([put(f"p{number}", EAST), put("moving", NORTH if number % 2 else EAST)])
            found = await near(searcher, EAST, limit=100)
            assert f"p{number}" in found
            assert len(found) == number + 2
            ((best, *_),) = await searcher.nearest(SPACE, np.asarray([NORTH], np.float32), limit=1)
            assert best.score == pytest.approx(number % 2, abs=1e-3), best
