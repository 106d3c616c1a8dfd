"""The contract of `Objects`, as tests. Whoever has one inherits them and supplies it, and a bucket that is there."""

import asyncio

import pytest

from penstock.errors import Missing, PenstockError, Refused
from penstock.ports.objects import ObjectInfo, Objects

KEYS = ("a-b", "a/1", "a/2/x", "a0", "b", "z", "é/ü")
"""In the order of their UTF-8 bytes."""


class ObjectsContract:
    @pytest.fixture
    def objects(self) -> Objects:
        raise NotImplementedError("supply the objects under test")

    @pytest.fixture
    def bucket(self) -> str:
        raise NotImplementedError("supply a bucket without objects")

    async def test_o1_what_was_put_is_there_whole_also_in_the_place_of_another(
        self, objects: Objects, bucket: str
    ) -> None:
        for body in (b"first" * 1000, b"", b"\x00\xff second"):
            await objects.put(bucket, "folder/key 1.json", body)
            info = await told(objects, bucket, "folder/key 1.json")
            assert (info.size, await objects.read(info, 0, 10_000)) == (len(body), body)

    async def test_o1_of_two_that_put_at_once_one_is_there_whole(self, objects: Objects, bucket: str) -> None:
        bodies = [bytes([65 + number]) * 100_000 for number in range(6)]
        await asyncio.gather(*(objects.put(bucket, "k", body) for body in bodies))
        info = await told(objects, bucket, "k")
        assert await objects.read(info, 0, info.size) in bodies
        assert [each.key for each in await objects.listed(bucket, "")] == ["k"], "nothing half-written is left"

    async def test_o2_an_object_that_has_changed_is_not_read_on(self, objects: Objects, bucket: str) -> None:
        await objects.put(bucket, "k", b"12345678")
        before = await told(objects, bucket, "k")
        assert await objects.read(before, 0, 4) == b"1234"
        await objects.put(bucket, "k", b"abcdefgh")
        with pytest.raises(Refused):
            await objects.read(before, 4, 4)
        assert (await told(objects, bucket, "k")).etag != before.etag

    async def test_o3_parts_are_what_lies_between_and_end_with_the_object(self, objects: Objects, bucket: str) -> None:
        await objects.put(bucket, "k", b"0123456789")
        info = await told(objects, bucket, "k")
        parts = [await objects.read(info, start, 4) for start in (0, 4, 8, 10, 99)]
        assert parts == [b"0123", b"4567", b"89", b"", b""]

    async def test_o4_listings_are_in_the_order_of_keys_and_in_pages(self, objects: Objects, bucket: str) -> None:
        for key in reversed(KEYS):
            await objects.put(bucket, key, b"x")
        assert [each.key for each in await objects.listed(bucket, "")] == list(KEYS)
        pages: list[str] = []
        while page := await objects.listed(bucket, "", after=pages[-1] if pages else "", limit=3):
            assert len(page) <= 3
            pages += [each.key for each in page]
        assert pages == list(KEYS)
        assert [each.key for each in await objects.listed(bucket, "a/")] == ["a/1", "a/2/x"]
        assert [each.key for each in await objects.listed(bucket, "a")] == list(KEYS[:4])
        assert [each.key for each in await objects.listed(bucket, "a", after="a/1")] == ["a/2/x", "a0"]
        assert await objects.listed(bucket, "none/") == []

    async def test_o4_a_listing_tells_of_an_object_what_about_tells(self, objects: Objects, bucket: str) -> None:
        await objects.put(bucket, "k", b"xyz")
        (listed,) = await objects.listed(bucket, "k")
        info = await told(objects, bucket, "k")
        assert (listed.etag, listed.size, listed.storage_class) == (info.etag, 3, "STANDARD")
        assert abs(listed.modified_ms - info.modified_ms) <= 1000

    async def test_o5_what_is_not_there_is_told(self, objects: Objects, bucket: str) -> None:
        assert await objects.about(bucket, "nothing") is None
        with pytest.raises(Missing):
            await objects.about("no-such-bucket-here", "nothing")
        with pytest.raises(Missing):
            await objects.listed("no-such-bucket-here", "")

    async def test_o6_no_key_leads_out_of_its_bucket(self, objects: Objects, bucket: str) -> None:
        for name, key in (
            (bucket, "../outside"),
            (bucket, "/etc/hosts"),
            (bucket, "a/../../x"),
            ("..", "x"),
            ("", "x"),
        ):
            try:
                await objects.put(name, key, b"x")
                info = await objects.about(name, key)
            except PenstockError:
                continue
            assert info is not None, "it is a name like any other there"
            assert await objects.read(info, 0, 1) == b"x"


async def told(objects: Objects, bucket: str, key: str) -> ObjectInfo:
    info = await objects.about(bucket, key)
    assert info is not None, key
    return info
