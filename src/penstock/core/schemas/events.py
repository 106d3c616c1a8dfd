"""What is said to the schema registry: events on a topic of its own, a tenant's in one order, so that ids are given once."""

from penstock.core.events.event import Event

TOPIC = "penstock-schemas"
NAME = "schemas"  # the agent that keeps them
REGISTRY = "registry"


class SchemaOffered(Event, topic=TOPIC, key="registry"):
    """A schema is to be the next version of a subject."""

    subject: str
    kind: str
    document: str
    registry: str = REGISTRY


class CompatibilityChosen(Event, topic=TOPIC, key="registry"):
    """New versions of a subject (empty: of all that say nothing) are held to a mode; an empty mode: to that of all."""

    subject: str
    mode: str
    registry: str = REGISTRY
