"""Which passages an index has of a document. Its contract, as tests: `penstock.testing.documents_contract`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from penstock.core.knowledge.passages import Space


class DocumentIndex(Protocol):
    """What is there of documents, so that a new version of one changes what is other, and nothing else.

    Every implementation guarantees:

    D1 parts      A document's passages are the one with its own id, and those whose ids begin with its prefix
                  (`core/knowledge/documents.py`): all of them, and no others.
    D2 seen       What `VectorIndex.apply` returned from is seen by the next call.
    D3 isolation  Only passages of the space (tenant, collection, generation) that is asked about.
    """

    async def parts(self, space: Space, documents: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        """Return document -> id of passage -> its digest; a document without passages is left out."""
        ...
