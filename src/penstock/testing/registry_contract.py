"""The contract of `SchemaRegistry`, as tests. An adapter inherits them and supplies a registry, and subjects of its own."""

import json
from typing import Any

import pytest

from penstock.errors import Invalid, Missing
from penstock.ports.schema_registry import SchemaRegistry


def record(*fields: tuple[str, Any], **more: Any) -> str:
    """Return a schema with these fields, each with its type; a field named in `more` has a default."""
    told: list[dict[str, Any]] = [{"name": name, "type": type_} for name, type_ in fields]
    return json.dumps({"type": "record", "name": "R", "fields": [*told, *more.get("optional", [])]})


FIRST = record(("a", "string"))
FITTING = record(("a", "string"), optional=[{"name": "b", "type": "long", "default": 0}])
UNFIT = record(("a", "string"), ("b", "long"))


class SchemaRegistryContract:
    @pytest.fixture
    def registry(self) -> SchemaRegistry:
        raise NotImplementedError("supply the registry under test")

    @pytest.fixture
    def subject(self) -> str:
        """Return a name that no other test uses."""
        raise NotImplementedError("supply a subject of this test alone")

    async def test_rg1_a_schema_keeps_its_id(self, registry: SchemaRegistry, subject: str) -> None:
        first = await registry.registered(subject, FIRST)
        second = await registry.registered(subject, FITTING)
        assert first != second
        assert await registry.registered(subject, FIRST) == first
        for number, document in ((first, FIRST), (second, FITTING)):
            kind, found = await registry.schema(number)
            assert (kind, json.loads(found)) == ("AVRO", json.loads(document))

    async def test_rg2_what_does_not_fit_is_refused_and_leaves_nothing(
        self, registry: SchemaRegistry, subject: str
    ) -> None:
        first = await registry.registered(subject, FIRST)
        for _ in range(2):
            with pytest.raises(Invalid, match=subject):
                await registry.registered(subject, UNFIT)
        assert await registry.registered(subject, FITTING) != first

    async def test_rg3_an_id_that_nobody_gave_is_missing(self, registry: SchemaRegistry) -> None:
        with pytest.raises(Missing, match="schema with id 4711"):
            await registry.schema(4711)
