"""Passages as objects of Weaviate, filters in its language, and names as it allows them.

- `id` and `vector` are names of Weaviate's own, and a property begins with a small letter: an object's are named here alone.
- Tokens are texts that are never cut (`field`), numbers are properties of their own, added when they are first written.
"""

from hashlib import blake2b
from string import ascii_letters, digits
from typing import Any

import msgspec

from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.plain_filters import Compares, Every, Plain, Says, Some, facts_of

PASSAGE, TEXT, METADATA, DIGEST, TENANT, TOKENS = "passage", "text", "fields", "digest", "owner", "facts"
EVERY = "-"  # a token of all objects
_TENANT_CHARS_MAX = 64
_PLAIN = frozenset((ascii_letters + digits).encode())
_CLASS = "P_"
_texts = msgspec.json.Decoder(dict[str, str])


def class_of(place: str) -> str:
    return f"{_CLASS}{place}"  # a class begins with a large letter


def place_name(name: str) -> str | None:
    """Return the name of the place that a class is, if it is one."""
    return name.removeprefix(_CLASS) if name.startswith(_CLASS) else None


def tenant_of(tenant: str) -> str:
    """Return a tenant's name in Weaviate: letters, digits and underscores, 64 at most. Different ones for different tenants."""
    data = tenant.encode()
    written = "".join(chr(each) if each in _PLAIN else f"_{each:02x}" for each in data)
    if written and len(written) <= _TENANT_CHARS_MAX:
        return written
    return f"-{blake2b(data, digest_size=24).hexdigest()}"


def properties_of(tenant: str, passage: Passage) -> dict[str, Any]:
    facts = facts_of(passage.metadata)
    return {
        PASSAGE: passage.id,
        TEXT: passage.text,
        METADATA: msgspec.json.encode(passage.metadata).decode(),
        DIGEST: passage.digest,
        TENANT: tenant,
        TOKENS: [EVERY, *facts.tokens],
        **facts.numbers,
    }


def passage_of(properties: Any) -> Passage:
    return Passage(properties[PASSAGE], properties[TEXT], metadata_of(properties))


def metadata_of(properties: Any) -> dict[str, str]:
    return _texts.decode(properties[METADATA])


def compared(plain: Plain | None) -> set[str]:
    """Return the names of the numbers that a filter compares."""
    match plain:
        case Compares(name):
            return {name}
        case Every(parts) | Some(parts):
            return {name for each in parts for name in compared(each)}
        case _:
            return set()


def condition_of(plain: Plain, filter: Any, known: set[str]) -> Any:
    """Return a filter as Weaviate takes it. `known`: the numbers that it has properties for; no object has another one."""
    match plain:
        case Says(tokens, yes):
            facts = filter.by_property(TOKENS)
            return facts.contains_any(list(tokens)) if yes else facts.contains_none(list(tokens))
        case Compares(name, operator, value):
            if name not in known:
                return filter.by_property(TOKENS).contains_none([EVERY])
            number = filter.by_property(name)
            return {
                "gte": number.greater_or_equal,
                "gt": number.greater_than,
                "lte": number.less_or_equal,
                "lt": number.less_than,
            }[operator](value)
        case Every(parts):
            return filter.all_of([condition_of(each, filter, known) for each in parts])
        case Some(parts):
            return filter.any_of([condition_of(each, filter, known) for each in parts])
