"""What is known of those whom data is about. Who seals: `layers/sealing.py`."""

from typing import Protocol


class Subjects(Protocol):
    """Names of subjects as a store has them, and keys that can go.

    The same tenant and subject have the same name in all processes on a store, and others have others; it says nothing to who has
    not the store's secret. After `forget` a key that went from the store opens nothing, and one that is retired seals nothing.
    """

    @property
    def secret(self) -> bytes: ...

    def name(self, tenant: str, subject: str) -> str:
        """Return the name of a subject in the rows of a store."""
        ...

    def forget(self, tenant: str, name: str) -> None:
        """Have nothing of a subject in memory."""
        ...
