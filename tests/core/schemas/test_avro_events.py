"""The Avro schema of an event says what its JSON holds, and what Avro has no type for is said with all findings."""

import json
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from penstock import Event
from penstock.core.knowledge.events import AVRO, KnowledgeEvent
from penstock.core.schemas.avro import parse_avro
from penstock.core.schemas.avro_events import avro_schema_of
from penstock.core.schemas.avro_reading import obstacles
from penstock.core.schemas.values import avro_bytes, avro_value
from penstock.errors import Invalid


class Colour(Enum):
    RED = "RED"
    BLUE = "BLUE"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Line(BaseModel):
    item: str
    count: int = 1
    price: Decimal = Decimal("1.5")


class Basket(Event, key="customer"):
    customer: str
    lines: list[Line]
    first: Line | None = None
    tags: dict[str, list[str]] = {}
    note: str | None = None
    rate: float = 0.5
    paid: bool = False
    colour: Colour = Colour.RED
    size: Size = Size.SMALL
    kind: Literal["quick", "slow"] = "quick"
    also: Literal["quick", "very slow"] = "quick"
    place: tuple[float, float] = (0.0, 0.0)
    at: datetime | None = None
    either: int | str = 0


class Tree(Event):
    name: str
    branches: list["Tree"] = []


class Loose(Event):
    anything: Any
    some: dict[str, Any]
    fine: int


def test_all_that_json_holds_is_kept():
    basket = Basket(customer="Zoë", lines=[Line(item="a"), Line(item="b", count=-3)], first=Line(item="c"), note="n",
                    tags={"x": ["y"]}, at=datetime.fromisoformat("2026-01-02T03:04:05+00:00"), either="seven")  # fmt: skip
    schema = avro_schema_of(Basket)
    for event in (basket, Basket(customer="b", lines=[])):
        plain = json.loads(event.encoded())
        found = avro_value(avro_bytes(schema, plain), schema)
        assert found == plain
        assert Basket.checked(found) == event


def test_an_event_that_holds_itself_is_a_record_that_names_itself():
    schema = avro_schema_of(Tree)
    tree = Tree(name="a", branches=[Tree(name="b", branches=[Tree(name="c")])])
    assert Tree.checked(avro_value(avro_bytes(schema, json.loads(tree.encoded())), schema)) == tree


def test_defaults_are_those_of_the_event_so_that_older_values_can_be_read():
    fields = {each["name"]: each for each in json.loads(avro_schema_of(Basket))["fields"]}
    assert "default" not in fields["customer"]
    assert fields["note"] == {"name": "note", "type": ["null", "string"], "default": None}
    assert fields["either"]["type"] == ["long", "string"]
    older = '{"type": "record", "name": "Basket", "fields": [{"name": "customer", "type": "string"}, {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": []}}}]}'
    value = avro_bytes(older, {"customer": "c", "lines": []})
    assert Basket.checked(avro_value(value, older, avro_schema_of(Basket))) == Basket(customer="c", lines=[])


def test_what_avro_has_no_type_for_is_said_with_all_findings():
    with pytest.raises(Invalid) as refused:
        avro_schema_of(Loose)
    assert [each.path for each in refused.value.findings] == ["anything", "some"]


def test_an_event_may_say_its_schema_itself():
    class Mine(Event):
        a: int

        avro_ = {"type": "record", "name": "Mine", "namespace": "com.shop", "fields": [{"name": "a", "type": "int"}]}

    assert json.loads(avro_schema_of(Mine)) == Mine.avro_
    Mine.avro_ = {"type": "no such"}
    with pytest.raises(Invalid, match="not defined"):
        avro_schema_of(Mine)


def test_events_of_knowledge_read_what_was_written_in_the_form_of_s0():
    found = obstacles(parse_avro(avro_schema_of(KnowledgeEvent)), parse_avro(json.dumps(AVRO)))
    assert {each.kind for each in found} <= {"NAME_MISMATCH"}  # read as it is written, then: its fields fit
