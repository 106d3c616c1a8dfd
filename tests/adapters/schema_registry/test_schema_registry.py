"""Registries keep their contract: in memory, and over HTTP, where ours is asked as Confluent's would be."""

import secrets

import pytest
from registry_server import registry_server
from wrong_settings import http_server

from penstock.adapters.memory.schema_registry import MemorySchemaRegistry
from penstock.adapters.schema_registry.confluent import open_registry
from penstock.errors import Invalid, NotLetIn, PenstockError, Unavailable
from penstock.testing.registry_contract import FIRST, SchemaRegistryContract

SECRET = "s3cret"


class TestMemorySchemaRegistry(SchemaRegistryContract):
    @pytest.fixture
    def registry(self):
        return MemorySchemaRegistry()

    @pytest.fixture
    def subject(self):
        return "s"


class TestConfluentRegistry(SchemaRegistryContract):
    @pytest.fixture
    async def registry(self):
        async with registry_server() as address, open_registry(address, {}) as registry:
            yield registry

    @pytest.fixture
    def subject(self):
        return f"a topic.{secrets.token_hex(4)}-value"


async def test_who_we_are_comes_from_the_address_or_the_environment():
    async with registry_server("app", SECRET) as address:
        known = {"SCHEMA_REGISTRY_USERNAME": "app", "SCHEMA_REGISTRY_PASSWORD": SECRET}
        for url, environment in ((address, known), (address.replace("//", f"//app:{SECRET}@"), {})):
            async with open_registry(url, environment) as registry:
                assert await registry.registered("s", FIRST) == 1
        for wrong in (address, address.replace("//", "//app:wr0ng@")):
            async with open_registry(wrong, {}) as registry:
                with pytest.raises(NotLetIn, match="set SCHEMA_REGISTRY_USERNAME") as refused:
                    await registry.registered("s", FIRST)
                assert "wr0ng" not in str(refused.value)


async def test_a_registry_that_is_not_there_or_is_something_else_is_said():
    async with open_registry("http://127.0.0.1:1", {}) as registry:
        with pytest.raises(Unavailable, match="see registry= in the setting log"):
            await registry.schema(1)
    async with http_server(ok=True) as port, open_registry(f"http://127.0.0.1:{port}", {}) as registry:
        for asked in (registry.schema(1), registry.registered("s", FIRST)):
            with pytest.raises(PenstockError, match="is it a schema registry"):
                await asked


@pytest.mark.parametrize("url", ["", "registry:8081", "ftp://h", "http://me:pa/ss@h"])
async def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(Invalid, match="registry= names no address"):
        async with open_registry(url, {}):
            pass
