"""A database in which the log and the state lie together: an event is in the log exactly if its cause is done with."""

from typing import Protocol

from penstock.ports.log import EventLog
from penstock.ports.state import RunCatalog, StateStore


class Store(EventLog, StateStore, RunCatalog, Protocol):
    """All three ports in one; it keeps the contracts of each."""
