"""How a table is laid out: which attributes are its key, and of which type."""

from collections.abc import Mapping
from typing import Final, cast

from msgspec import Struct

from penstock.core.asl.values import json_text
from penstock.core.tables.refusals import invalid, invalid_value
from penstock.core.tables.values import Item, content_of, normalised_item, type_of

KEY_TYPES: Final = ("S", "N", "B")
KEY_BYTES_MAX: Final = 2048
SORT_BYTES_MAX: Final = 1024


class Schema(Struct, frozen=True):
    """A table: its name, the attribute that is its partition key, and perhaps one that is its sort key."""

    name: str
    key: str
    sort: str = ""
    key_type: str = "S"
    sort_type: str = "S"

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of the key with their types."""
        return {self.key: self.key_type} | ({self.sort: self.sort_type} if self.sort else {})

    def key_of(self, given: object) -> Item:
        """Return the Key of a request; refuse what does not fit the schema."""
        if not isinstance(given, Mapping) or set(cast("Mapping[str, object]", given)) != set(self.attributes):
            raise invalid("The provided key element does not match the schema")
        key = normalised_item(cast("object", given))
        for name, kind in self.attributes.items():
            if type_of(key[name]) != kind:
                raise invalid("The provided key element does not match the schema")
        self._require_sizes(key)
        return key

    def key_in(self, item: Item) -> Item:
        """Return the key that an item has; refuse an item without one."""
        for name, kind in self.attributes.items():
            if name not in item:
                raise invalid_value(f"Missing the key {name} in the item")
            actual = type_of(item[name])
            if actual != kind:
                raise invalid_value(f"Type mismatch for key {name} expected: {kind} actual: {actual}")
        key = {name: item[name] for name in self.attributes}
        self._require_sizes(key)
        return key

    def _require_sizes(self, key: Item) -> None:
        for name, value in key.items():
            content = content_of(value)
            if not content:
                what = "string" if "S" in value else "binary"
                problem = f"The AttributeValue for a key attribute cannot contain an empty {what} value"
                raise invalid(f"One or more parameter values are not valid. {problem}. Key: {name}")
            bytes_max = KEY_BYTES_MAX if name == self.key else SORT_BYTES_MAX
            if len(content.encode()) > bytes_max:
                which = "hashkey" if name == self.key else "rangekey"
                problem = f"Size of {which} has exceeded the maximum size limit of {bytes_max} bytes"
                raise invalid_value(problem)


def place_of(table: str, key: Item) -> str:
    """Return the one text that names an item among those of all tables."""
    return json_text([table, *(key[name] for name in sorted(key))])
