"""In which order events of knowledge are: those about one document are in one, whoever says it.

Where a log has one partition, its order is that of all events. Where it has several, an event lies in that of its document: two
agents that write one document would else be in two partitions, which have no order between them.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.core.events.envelope import Envelope
from penstock.core.events.partitions import partition_of
from penstock.core.knowledge.documents import root_of
from penstock.core.knowledge.events import DOCUMENT, KnowledgeEvent, derived_id
from penstock.errors import Finding, Invalid

Cut = Mapping[int, int]  # partition -> offset: all events of each up to there
Point = int | str  # a cut as users have it: an offset where there is one partition, else a text, "c0-12.3-7"
KEY_CHARS_MAX = 200


class _About(Struct):
    """What an event's data say of what it is about."""

    agent_id: str = ""
    action: str = ""
    payload: str = ""
    metadata: Mapping[str, str] = {}
    event_id: str = ""
    passage_id: str = ""
    document_id: str = ""


_about = msgspec.json.Decoder(_About)


def document_key(event: "KnowledgeEvent | _About") -> str:
    """Return what stands for an event's document: equal for all that touch the same passages. Without one, its agent."""
    if event.passage_id:
        key = event.passage_id.partition("#")[0]
    elif named := event.document_id or event.metadata.get(DOCUMENT, ""):
        key = root_of(named)
    elif event.action == "CREATE":
        key = root_of(derived_id(event))
    else:
        key = event.agent_id  # it says of none, and will be refused
    return key if len(key) <= KEY_CHARS_MAX else derived_id(_About(agent_id=key))


def ordered(event: Envelope) -> Envelope:
    """Return an event that others put into a log of several partitions, with the key that it is ordered by here."""
    if event.type not in KnowledgeEvent.reads_():
        return event
    try:
        about = _about.decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return event  # its handling says what is wrong with it
    return replace(event, key=document_key(about))


def is_within(event: Envelope, partition: int, partitions: int) -> bool:
    """Whether an event lies in the partition of its document: one from before the log had several need not."""
    return partition_of(event.tenant, ordered(event).key, partitions) == partition


def point_of(cut: Cut, partitions: int) -> Point:
    """Return a cut as users have it."""
    if partitions == 1:
        return cut.get(0, 0)
    return "c" + ".".join(f"{partition}-{offset}" for partition, offset in sorted(cut.items()) if offset)


def cut_of(point: Point, partitions: Iterable[int]) -> dict[int, int]:
    """Return the cut that a point stands for, with each of the partitions; `Invalid` for what is none of this log."""
    known = sorted(partitions)
    if isinstance(point, int):
        if len(known) > 1 and point:
            hint = f"give as_of of what was found: the log of this store has {len(known)} partitions"
            raise Invalid("the search", (Finding("as_of", f"is {point}, an offset of one partition", hint),))
        return dict.fromkeys(known, point)
    pairs = [each.split("-") for each in point[1:].split(".")] if len(point) > 1 else []
    cut = {int(partition): int(offset) for partition, offset in pairs}
    if beyond := sorted(cut.keys() - set(known)):
        hint = f"the log of this store has {len(known)} partitions: give as_of of what was found in it"
        raise Invalid("the search", (Finding("as_of", f"names partition {beyond[0]}", hint),))
    return dict.fromkeys(known, 0) | cut
