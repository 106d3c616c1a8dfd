"""What is known of those whom data is about. Who seals: `layers/sealing.py`."""

from collections.abc import Callable
from typing import Protocol


class Subjects(Protocol):
    """Names of subjects as a store has them, and keys that can go.

    The same tenant and subject have the same name in all processes on a store, and others have others; it says nothing to who has
    not the store's secret. After `forget` a key that went from the store opens nothing, and one that is retired seals nothing.
    """

    hears: Callable[
        [], bool
    ]  # whether this process is told when somebody is forgotten; else nothing is trusted to memory

    @property
    def secret(self) -> bytes: ...

    def name(self, tenant: str, subject: str) -> str:
        """Return the name of a subject in the rows of a store."""
        ...

    def forget(self, tenant: str, name: str) -> None:
        """Have nothing of a subject in memory."""
        ...

    def lost(self) -> None:
        """Have nothing of anybody in memory."""
        ...
