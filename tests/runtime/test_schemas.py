"""The registry of an app: durable, one order, and what does not fit is said and leaves nothing behind."""

import json

import pytest

from penstock import App, testing
from penstock.core.knowledge.events import AVRO, JSON_SCHEMA
from penstock.core.schemas.events import SchemaOffered
from penstock.core.schemas.wire import decode_avro, encode_avro
from penstock.errors import Invalid, Missing
from penstock.testing import Disk

FIRST = json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]})
OTHER = json.dumps({"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]})
BROKEN = json.dumps({"type": "record", "name": "R", "fields": [{"name": "b", "type": "int"}]})


def app():
    made = App("shop")
    made.schemas()
    return made


async def test_what_was_registered_is_there_after_a_restart():
    disk = Disk()
    async with testing.app(app(), disk=disk) as live:
        first = await live.schemas().register("orders-value", FIRST)
        await live.schemas().choose("FULL", "orders-value")
    async with testing.app(app(), disk=disk) as live:
        schemas = live.schemas()
        assert [each.schema for each in await schemas.versions("orders-value")] == [FIRST]
        assert await schemas.mode("orders-value") == "FULL"
        assert await schemas.mode() == "BACKWARD"
        assert await schemas.register("orders-value", FIRST) == first
        assert (await schemas.by_id(first.id)).schema == FIRST


async def test_one_schema_has_one_id_under_several_subjects():
    async with testing.app(app()) as live:
        schemas = live.schemas()
        one, same = await schemas.register("a", FIRST), await schemas.register("b", FIRST)
        other = await schemas.register("a", OTHER)
        assert (one.id, same.id, other.id) == (1, 1, 2)
        assert (other.version, await schemas.subjects()) == (2, ["a", "b"])


async def test_what_does_not_fit_is_said_and_is_no_dead_letter():
    async with testing.app(app()) as live:
        schemas = live.schemas()
        await schemas.register("a", FIRST)
        assert len(await schemas.check("a", BROKEN)) == 1
        with pytest.raises(Invalid, match="READER_FIELD_MISSING_DEFAULT_VALUE"):
            await schemas.register("a", BROKEN)
        assert len(await schemas.versions("a")) == 1
        assert not await live.dead_letters()
        await schemas.choose("none", "a")
        assert (await schemas.register("a", BROKEN)).version == 2
        await schemas.choose("", "a")
        assert await schemas.mode("a") == "BACKWARD"


async def test_a_tenant_sees_nothing_of_another_s_registry():
    async with testing.app(app()) as live:
        await live.schemas().register("a", FIRST)
        acme = live.schemas(tenant="acme")
        assert await acme.subjects() == []
        for missing in (acme.version("a"), acme.by_id(1), live.schemas().version("a", 9)):
            with pytest.raises(Missing):
                await missing


async def test_a_value_travels_with_the_id_of_its_schema():
    async with testing.app(app()) as live:
        found = await live.schemas().register("a", FIRST)
        message = encode_avro(found.id, found.schema, {"a": 1})
        assert decode_avro(message, (await live.schemas().by_id(found.id)).schema) == {"a": 1}


async def test_an_app_without_a_registry_says_how_to_have_one():
    async with testing.app(App("shop")) as live:
        with pytest.raises(Missing, match="schemas"):
            live.schemas()


def with_knowledge():
    made = app()
    made.knowledge("books")
    return made


async def test_the_schemas_of_knowledge_events_are_registered_by_themselves_and_once():
    disk = Disk()
    async with testing.app(with_knowledge(), disk=disk) as live:
        found = [(await live.schemas().version(each)) for each in await live.schemas().subjects()]
        assert [(each.subject, each.kind, each.version) for each in found] == [
            ("knowledge-events-json-value", "JSON", 1),
            ("knowledge-events-value", "AVRO", 1),
        ]
        assert [json.loads(each.schema) for each in found] == [JSON_SCHEMA, AVRO]
        offered = len(await live.events(SchemaOffered))
    async with testing.app(with_knowledge(), disk=disk) as live:
        assert [(await live.schemas().version(each.subject)) for each in found] == found
        assert len(await live.events(SchemaOffered)) == offered == 2


async def test_a_subject_that_somebody_has_otherwise_stays_and_the_app_starts():
    disk = Disk()
    async with testing.app(app(), disk=disk) as live:
        await live.schemas().register("knowledge-events-value", BROKEN)
    async with testing.app(with_knowledge(), disk=disk) as live:
        assert [each.schema for each in await live.schemas().versions("knowledge-events-value")] == [BROKEN]
        assert not await live.dead_letters()
