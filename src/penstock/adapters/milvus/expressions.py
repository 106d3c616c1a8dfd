"""Filters as Milvus's expressions, and passages as its rows.

Everything in an expression is a hash or a number: what callers give never stands in one.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from msgspec import json
from numpy.typing import NDArray

from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.places import key_of
from penstock.core.knowledge.plain_filters import Compares, Every, Plain, Says, Some, facts_of
from penstock.errors import LimitReached

TEXT_BYTES_MAX = 65_535  # of a text, of metadata, of the numbers made from them: Milvus's own bounds
FACTS_MAX = 4_096
MARKERS = "0"  # whose rows say which tenants there are
_OPERATORS = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}
Vector = NDArray[np.float32] | None


def tenant_key(tenant: str) -> str:
    """What rows of a tenant are found by."""
    return blake2b(tenant.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def of_tenant(tenant: str, plain: Plain | None = None) -> str:
    """The expression of one tenant's request."""
    mine = f'tenant == "{tenant_key(tenant)}"'
    return mine if plain is None else f"{mine} and {expression(plain)}"


def expression(plain: Plain) -> str:
    match plain:
        case Says(tokens, yes):
            listed = ", ".join(f'"{each}"' for each in tokens)
            return f"{'' if yes else 'not '}array_contains_any(facts, [{listed}])"
        case Compares(name, operator, value):
            return f'numbers["{name}"] {_OPERATORS[operator]} {value!r}'
        case Every(parts):
            return f"({' and '.join(map(expression, parts))})"
        case Some(parts):
            return f"({' or '.join(map(expression, parts))})"


def row_of(tenant: str, passage: Passage, vector: Vector, dims: int) -> dict[str, Any]:
    facts = facts_of(passage.metadata)
    return {
        "key": key_of(tenant, passage.id),
        "tenant": tenant_key(tenant),
        "owner": tenant,
        "id": passage.id,
        "text": passage.text,
        "metadata": passage.metadata,
        "digest": passage.digest,
        "facts": list(facts.tokens),
        "numbers": dict(facts.numbers),
        "vector": _aside(dims) if vector is None else vector.tolist(),
    }


def marker_of(tenant: str, dims: int) -> dict[str, Any]:
    """A row that says that a tenant has passages in a place; no search finds it."""
    return {
        **row_of(tenant, Passage("", ""), None, dims),
        "key": f"marker {tenant_key(tenant)}",
        "tenant": MARKERS,
    }


def too_large(passage: Passage) -> LimitReached | None:
    """What a passage has more of than Milvus takes."""
    facts = facts_of(passage.metadata)
    sizes: Sequence[tuple[str, int, int]] = (
        ("bytes of a passage's id in Milvus", len(passage.id.encode()), TEXT_BYTES_MAX),
        ("bytes of a passage's text in Milvus", len(passage.text.encode()), TEXT_BYTES_MAX),
        ("bytes of a passage's metadata in Milvus", len(json.encode(passage.metadata)), TEXT_BYTES_MAX),
        ("bytes of a passage's filters in Milvus", len(json.encode(facts.numbers)), TEXT_BYTES_MAX),
        ("fields of a passage's metadata in Milvus", len(facts.tokens), FACTS_MAX),
    )
    hint = "cut the document into passages (put a Document), or keep these vectors elsewhere"
    return next((LimitReached(what, size, most, hint) for what, size, most in sizes if size > most), None)


def passage_of(row: Mapping[str, Any]) -> Passage:
    return Passage(str(row["id"]), str(row["text"]), dict(row["metadata"]))


def _aside(dims: int) -> list[float]:
    return [1.0] + [0.0] * (max(2, dims) - 1)  # Milvus has no row without a vector, and no vector of one number
