"""Where the passages of a collection are: the ports that an index keeps, put together."""

from msgspec import Struct

from penstock.ports.documents import DocumentIndex
from penstock.ports.passage_checks import PassageChecks
from penstock.ports.purging import Purging
from penstock.ports.spaces import Spaces
from penstock.ports.vectors import VectorIndex
from penstock.ports.words import WordIndex


class Index(Struct, frozen=True):
    """Where a collection's passages are.

    `in_store`: in the state store, written within its commits. `together`: one object finds by vectors and by words.
    """

    vectors: VectorIndex
    words: WordIndex
    documents: DocumentIndex
    in_store: bool
    together: bool = True
    spaces: Spaces | None = None  # None: what is dropped stays where it is
    texts: VectorIndex | None = None  # which passages are read of, where vectors lie elsewhere
    checks: PassageChecks | None = None  # of an index that is written within commits
    purging: Purging | None = None  # None: what was deleted is nowhere
    system: str = "penstock"  # who finds by vectors, as traces name it

    @property
    def reads(self) -> VectorIndex:
        return self.vectors if self.texts is None else self.texts
