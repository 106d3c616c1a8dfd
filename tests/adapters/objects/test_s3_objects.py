"""S3: against moto's server always, and against MinIO where its binary is (PENSTOCK_MINIO)."""

import itertools

import pytest
from s3_servers import minio, moto

from penstock.adapters.s3.objects import open_s3
from penstock.errors import Refused, Unavailable
from penstock.testing.objects_contract import ObjectsContract

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def on_moto():
    with moto() as address, open_s3(address, "us-east-1") as objects:
        yield objects


@pytest.fixture(scope="module")
def on_minio():
    with minio() as address, open_s3(address, "us-east-1") as objects:
        yield objects


class S3Contract(ObjectsContract):
    @pytest.fixture
    def bucket(self, objects):
        name = f"bucket-{next(NUMBERS)}"
        objects._client.create_bucket(Bucket=name)
        return name

    async def test_o2_a_version_that_is_named_is_read(self, objects, bucket):
        objects._client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        await objects.put(bucket, "k", b"first")
        first = await objects.about(bucket, "k")
        await objects.put(bucket, "k", b"second")
        again = await objects.about(bucket, "k", first.version)
        assert await objects.read(again, 0, 10) == b"first"
        assert await objects.about(bucket, "k", "0" * 32) is None


class TestOnMoto(S3Contract):
    @pytest.fixture
    def objects(self, on_moto):
        return on_moto

    async def test_a_server_that_is_not_there_is_unavailable(self, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with open_s3("http://127.0.0.1:9", "us-east-1") as objects, pytest.raises((Unavailable, Refused)):
            await objects.about("bucket", "k")


class TestOnMinio(S3Contract):
    @pytest.fixture
    def objects(self, on_minio):
        return on_minio
