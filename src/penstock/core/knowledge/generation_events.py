"""What is said about the generations of a collection: events on a topic of their own, in order per collection.

They are events like any other: durable, ordered, and a schedule may fire them (`app.schedule(..., event=VerifyKnowledge(...))`).
"""

from penstock.core.events.event import Event

TOPIC = "penstock-knowledge"
KEEPER = "generations"  # the agent that hears it


class BuildGeneration(Event, topic=TOPIC, key="collection"):
    """A new generation is to be built from the log. `embedder` as in the settings; empty: that of the one that serves.

    `partial`: also from a log whose beginning was let go (`Retention(topics=...)`): what was put before that is not in it.
    `refines`: it is not to serve, its vectors are to refine what is found by the one that serves.
    """

    collection: str
    embedder: str = ""
    per_s: float = 0.0
    switch: bool = False
    replaces: bool = False
    options: dict[str, str] = {}
    partial: bool = False
    refines: bool = False


class SwitchGeneration(Event, topic=TOPIC, key="collection"):
    """A generation is to serve; 0: the one that served before."""

    collection: str
    generation: int = 0
    grace_s: float | None = None


class DropGeneration(Event, topic=TOPIC, key="collection"):
    """A generation is to go, or its build is to end."""

    collection: str
    generation: int
    reason: str = ""


class VerifyKnowledge(Event, topic=TOPIC, key="collection"):
    """The index of a collection is to be compared with the log, and mended where it differs."""

    collection: str
    repair: bool = False
    deep_max: int = 10_000
