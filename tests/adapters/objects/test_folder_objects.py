"""A folder in the place of an object store."""

import pytest

from penstock.adapters.folders.objects import FolderObjects
from penstock.adapters.memory.objects import MemoryObjects
from penstock.testing.objects_contract import ObjectsContract


class TestFolderObjects(ObjectsContract):
    @pytest.fixture
    def bucket(self, tmp_path):
        (tmp_path / "bucket").mkdir()
        return "bucket"

    @pytest.fixture
    def objects(self, tmp_path, bucket):
        return FolderObjects(tmp_path)

    async def test_o6_no_link_leads_out_of_its_bucket(self, objects, tmp_path):
        secret = tmp_path.parent / "secret.txt"
        secret.write_text("secret")
        (tmp_path / "bucket" / "link").symlink_to(secret)
        assert await objects.about("bucket", "link") is None


class TestMemoryObjects(ObjectsContract):
    @pytest.fixture
    def bucket(self):
        return "bucket"

    @pytest.fixture
    def objects(self, bucket):
        return MemoryObjects(buckets=[bucket], makes_buckets=False)
