"""Passages as points of Qdrant, and filters as its conditions."""

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.core.knowledge.passages import Passage
from penstock.core.knowledge.places import key_of
from penstock.core.knowledge.plain_filters import Compares, Every, Plain, Says, Some, facts_of

TENANT, FACTS, NUMBERS = "tenant", "facts", "numbers"


def payload_of(tenant: str, passage: Passage) -> dict[str, Any]:
    """What a point has beside its vector: `metadata` are for people, `facts` and `numbers` for filters."""
    facts = facts_of(passage.metadata)
    return {
        TENANT: tenant,
        "id": passage.id,
        "text": passage.text,
        "metadata": passage.metadata,
        "digest": passage.digest,
        FACTS: list(facts.tokens),
        NUMBERS: dict(facts.numbers),
    }


def passage_of(payload: Mapping[str, Any]) -> Passage:
    return Passage(payload["id"], payload["text"], payload["metadata"])


def point_id(tenant: str, id: str) -> str:
    """A UUID, since a point's id is one or a number."""
    key = key_of(tenant, id)
    return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"


class Conditions:
    """Filters in the forms of the client."""

    def __init__(self, models: Any) -> None:
        self._models = models

    def of(self, tenant: str, plain: Plain | None) -> Any:
        """The filter of one tenant's request."""
        condition = self._models.FieldCondition(key=TENANT, match=self._models.MatchValue(value=tenant))
        rest = [] if plain is None else [self._plain(plain)]
        return self._models.Filter(must=[condition, *rest])

    def _plain(self, plain: Plain) -> Any:
        models = self._models
        match plain:
            case Says(tokens, yes):
                said = models.FieldCondition(key=FACTS, match=models.MatchAny(any=list(tokens)))
                return said if yes else models.Filter(must_not=[said])
            case Compares(name, operator, value):
                return models.FieldCondition(key=f"{NUMBERS}.{name}", range=models.Range(**{operator: value}))
            case Every(parts):
                return models.Filter(must=[self._plain(each) for each in parts])
            case Some(parts):
                return models.Filter(should=[self._plain(each) for each in parts])


def compared(plain: Plain | None) -> Iterable[str]:
    """The numbers that a filter compares."""
    match plain:
        case Compares(name):
            yield name
        case Every(parts) | Some(parts):
            for each in parts:
                yield from compared(each)
        case None | Says():
            return
