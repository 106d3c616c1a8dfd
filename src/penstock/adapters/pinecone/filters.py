"""Plain filters in Pinecone's language: tokens are a list of strings of each record, numbers are fields of their own."""

from typing import Any

from penstock.core.knowledge.plain_filters import Compares, Every, Plain, Says, Some

TOKENS = "f"
NO_TOKEN = "-"  # noqa: S105 - no secret: a list that is never empty can be asked for what is not in it


def condition_of(plain: Plain) -> dict[str, Any]:
    """Return a filter as Pinecone takes it."""
    match plain:
        case Says(tokens, yes):
            return {TOKENS: {"$in" if yes else "$nin": list(tokens)}}
        case Compares(name, operator, value):
            return {name: {f"${operator}": value}}
        case Every(parts):
            return {"$and": [condition_of(each) for each in parts]}
        case Some(parts):
            return {"$or": [condition_of(each) for each in parts]}
