"""What is said so that somebody is forgotten, and the receipt that says what came of it.

- Events name the subject as the store does, by its pseudonym: what is said of it stays in the log.
- A receipt is signed as it is written here: JSON with sorted fields, without the signature.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.core.agents.control import TOPIC as CONTROL_TOPIC
from penstock.core.events.event import Event

TOPIC: Final = "penstock-subjects"
FORGETTER: Final = "forgetting"  # the agent that hears it
NOT_COVERED: Final = (
    "backups and copies of the store that were made before: they hold the keys, too",
    "exports that were made before: results, messages and values lie open in them, and whole ones have the keys, too",
    "the server's own logs and archives, where the store or the vectors are a server's (Postgres: WAL, replicas)",
    "what was sent outside: to models, tools, brokers, addresses, and to those who listened",
    "ids that the app gave to events, runs, documents of others, and what others said",
)


class ForgetSubject(Event, topic=TOPIC, key="name", subject=""):
    """All that is about a subject of the tenant is to go. `name`: as the store names it."""

    name: str


class SubjectGoes(Event, topic=CONTROL_TOPIC, key="name", subject=""):
    """Nothing of a subject is to be kept in memory: said to the owner of each partition."""

    name: str


class Checked(Struct, frozen=True):
    """What was looked through for traces. `found`: file and byte of the first hundred."""

    files: int = 0
    bytes: int = 0
    needles: int = 0
    found: tuple[str, ...] = ()


class Traces(Struct, frozen=True):
    """What is left of a subject: events that can be read, passages, keys, and texts in files."""

    events: int
    passages: int
    keys: int
    checked: Checked

    @property
    def is_nothing(self) -> bool:
        return not (self.events or self.passages or self.keys or self.checked.found)


class Receipt(Struct, frozen=True):
    """What was forgotten, when, and up to where. New fields go to the end, with a default."""

    app: str
    tenant: str
    subject: str  # the pseudonym: who has the store's secret can tell that it is of a name
    at_ms: int
    event: str  # that asked for it
    through: Mapping[str, int]  # "topic/partition" -> the last offset for which this holds
    erased: Mapping[str, int]  # rows by kind, at least: what a process did just before it died is not counted
    keys: int  # that were destroyed
    checked: Checked = Checked()
    left: Mapping[str, int] = {}  # what is about several, and stays
    not_covered: tuple[str, ...] = NOT_COVERED
    public_key: str = ""
    signature: str = ""


def signed_form(receipt: Receipt) -> bytes:
    """Return the bytes that are signed."""
    return msgspec.json.encode(replace(receipt, signature=""), order="sorted")


def read_receipt(plain: Any) -> Receipt:
    """Return a receipt from plain data; `msgspec.ValidationError` when it is none."""
    return msgspec.convert(plain, Receipt)
