"""What DynamoDB's four calls do to one item: GetItem, PutItem, UpdateItem, DeleteItem.

Each takes the item as it is, and gives the item as it is then and the answer. Nothing else is read or changed, so who keeps the
items only has to keep calls for one key apart.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from msgspec import Struct

from penstock.core.tables import paths
from penstock.core.tables.conditions import condition_of
from penstock.core.tables.refusals import CONDITION_FAILED, TableRefused, invalid, invalid_value
from penstock.core.tables.schema import Schema
from penstock.core.tables.tokens import END, Names, Path, Walker
from penstock.core.tables.updates import Update, update_of
from penstock.core.tables.values import Item, Value, normalised, normalised_item, size_bytes

ITEM_BYTES_MAX: Final = 400 * 1024
CONDITION: Final = "ConditionExpression"
_LEGACY: Final = ("AttributeUpdates", "ConditionalOperator", "Expected")
_RETURNED: Final = {
    "putItem": ("NONE", "ALL_OLD"),
    "deleteItem": ("NONE", "ALL_OLD"),
    "updateItem": ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"),
}
WRITES: Final = tuple(_RETURNED)
_READ_UNIT_BYTES: Final = 4096
_WRITE_UNIT_BYTES: Final = 1024


class Done(Struct, frozen=True):
    """What a call came to: the item from now on (None: there is none), and the answer."""

    item: Item | None
    answer: dict[str, Any]


def key_of(schema: Schema, action: str, request: Mapping[str, Any]) -> Item:
    """Return the key of the item that a call is about; refuse a call without a proper one."""
    if action == "putItem":
        return schema.key_in(normalised_item(request.get("Item")))
    return schema.key_of(request.get("Key"))


def performed(schema: Schema, action: str, request: Mapping[str, Any], item: Item | None) -> Done:
    """Carry out a call on the item that its key names. Raises `TableRefused`: then nothing is changed."""
    legacy = [name for name in _LEGACY if name in request]
    if legacy:
        with_expressions = "use ConditionExpression and UpdateExpression instead"
        raise invalid(f"Legacy parameters are not supported: {{{', '.join(legacy)}}}; {with_expressions}")
    return _ACTIONS[action](schema, request, item)


def _get(schema: Schema, request: Mapping[str, Any], item: Item | None) -> Done:
    schema.key_of(request.get("Key"))
    names = _names(request)
    wanted: list[Path] | None = None
    if request.get("ProjectionExpression") is not None:
        wanted = _projection(str(request["ProjectionExpression"]), names)
    elif request.get("AttributesToGet") is not None:
        wanted = [(str(name),) for name in cast("list[Any]", request["AttributesToGet"])]
    names.require_all_used()
    answer: dict[str, Any] = {}
    if item is not None:
        answer["Item"] = item if wanted is None else paths.projected(item, wanted)
    _count(answer, schema, request, _READ_UNIT_BYTES, item, share=1.0 if request.get("ConsistentRead") else 0.5)
    return Done(item, answer)


def _put(schema: Schema, request: Mapping[str, Any], old: Item | None) -> Done:
    item = normalised_item(request.get("Item"))
    schema.key_in(item)
    names = _names(request)
    _require_condition(request, names, old)
    if size_bytes(item) > ITEM_BYTES_MAX:
        raise invalid("Item size has exceeded the maximum allowed size")
    answer = _returned("putItem", request, old, item, None)
    _count(answer, schema, request, _WRITE_UNIT_BYTES, item, old)
    return Done(item, answer)


def _delete(schema: Schema, request: Mapping[str, Any], old: Item | None) -> Done:
    schema.key_of(request.get("Key"))
    names = _names(request)
    _require_condition(request, names, old)
    answer = _returned("deleteItem", request, old, None, None)
    _count(answer, schema, request, _WRITE_UNIT_BYTES, None, old)
    return Done(None, answer)


def _update(schema: Schema, request: Mapping[str, Any], old: Item | None) -> Done:
    key = schema.key_of(request.get("Key"))
    names = _names(request)
    update: Update | None = None
    if request.get("UpdateExpression") is not None:
        update = update_of(str(request["UpdateExpression"]), names)
        for path in update.paths:
            if path[0] in key:
                raise invalid_value(f"Cannot update attribute {path[0]}. This attribute is part of the key")
    _require_condition(request, names, old)
    item = dict(key) if old is None else old
    if update is not None:
        item = update.of(item)
    if size_bytes(item) > ITEM_BYTES_MAX:
        raise invalid("Item size to update has exceeded the maximum allowed size")
    answer = _returned("updateItem", request, old, item, update)
    _count(answer, schema, request, _WRITE_UNIT_BYTES, item, old)
    return Done(item, answer)


_ACTIONS: Final = {"getItem": _get, "putItem": _put, "updateItem": _update, "deleteItem": _delete}


def _names(request: Mapping[str, Any]) -> Names:
    names: dict[str, str] = {}
    for name, stands_for in _object(request, "ExpressionAttributeNames").items():
        if not (name.startswith("#") and name[1:].isidentifier() | name[1:].isalnum()):
            problem = f'Syntax error; key: "{name}"'
            raise invalid(f"ExpressionAttributeNames contains invalid key: {problem}")
        names[name] = str(stands_for)
    values: dict[str, Value] = {}
    for name, value in _object(request, "ExpressionAttributeValues").items():
        if not (name.startswith(":") and name[1:].isidentifier() | name[1:].isalnum()):
            problem = f'Syntax error; key: "{name}"'
            raise invalid(f"ExpressionAttributeValues contains invalid key: {problem}")
        values[name] = normalised(value)
    expressions = ("ConditionExpression", "UpdateExpression", "ProjectionExpression")
    if not any(request.get(each) is not None for each in expressions):
        for which, given in (("Names", names), ("Values", values)):
            if given:
                raise invalid(f"ExpressionAttribute{which} can only be specified when using expressions")
    return Names(names, values)


def _object(request: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = request.get(name)
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given:
        raise invalid(f"{name} must not be empty")
    return cast("Mapping[str, Any]", given)


def _require_condition(request: Mapping[str, Any], names: Names, item: Item | None) -> None:
    text = request.get(CONDITION)
    condition = None if text is None else condition_of(str(text), CONDITION, names)
    names.require_all_used()
    if condition is not None and not condition(item or {}):
        raise TableRefused(CONDITION_FAILED, "The conditional request failed")


def _projection(text: str, names: Names) -> list[Path]:
    words = Walker(text, "ProjectionExpression", names)
    wanted = [words.path()]
    while words.take(","):
        wanted.append(words.path())
    if words.here != END:
        raise words.syntax_error()
    return wanted


def _returned(
    action: str, request: Mapping[str, Any], old: Item | None, new: Item | None, update: Update | None
) -> dict[str, Any]:
    wanted = request.get("ReturnValues") or "NONE"
    if wanted not in _RETURNED[action]:
        if action == "updateItem":
            known = ", ".join(_RETURNED[action])
            problem = (
                f"Value '{wanted}' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set"
            )
            raise invalid(f"1 validation error detected: {problem}: [{known}]")
        raise invalid("ReturnValues can only be ALL_OLD or NONE")
    which, _, age = str(wanted).partition("_")
    item = old if age == "OLD" else new
    if wanted == "NONE" or item is None:
        return {}
    if which == "UPDATED":
        item = paths.projected(item, [] if update is None else update.paths)
    return {"Attributes": item} if item else {}


def _count(
    answer: dict[str, Any],
    schema: Schema,
    request: Mapping[str, Any],
    unit_bytes: int,
    *items: Item | None,
    share: float = 1.0,
) -> None:
    """Say what the call would cost, if it is asked for."""
    wanted = request.get("ReturnConsumedCapacity") or "NONE"
    if wanted == "NONE":
        return
    size = max((size_bytes(item) for item in items if item is not None), default=1)
    units = share * max(1, -(-size // unit_bytes))
    capacity: dict[str, Any] = {"CapacityUnits": units, "TableName": schema.name}
    if wanted == "INDEXES":
        capacity["Table"] = {"CapacityUnits": units}
    answer["ConsumedCapacity"] = capacity
