"""A database in which the log and the state lie together: an event is in the log exactly if its cause is done with."""

from typing import Protocol

from penstock.ports.blobs import BlobStore
from penstock.ports.erasure import Erasable
from penstock.ports.inbox import Inbox
from penstock.ports.log import EventLog
from penstock.ports.permits import Permits
from penstock.ports.retention import PrunableStore
from penstock.ports.rows import RowSource
from penstock.ports.state import RunCatalog, StateStore
from penstock.ports.streams import StreamStore
from penstock.ports.timers import TimerStore
from penstock.ports.workers import Workers


class Store(
    EventLog,
    StateStore,
    RunCatalog,
    StreamStore,
    TimerStore,
    BlobStore,
    PrunableStore,
    RowSource,
    Workers,
    Inbox,
    Permits,
    Erasable,
    Protocol,
):
    """All these ports in one; it keeps the contracts of each."""
