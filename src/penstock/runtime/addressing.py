"""From a text and the name of a topic, or of an agent, to an event: how machines, rules and other senders reach typed agents."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from penstock.core.events.event import Event
from penstock.core.rules.rules import detail_type_of
from penstock.errors import Finding, Invalid, Missing
from penstock.runtime.topology import Topology

OWN_TOPICS: Final = "penstock-"
"""Topics of penstock's own begin so: nobody writes to them by name."""


class Message(Event, topic="messages"):
    """A message whose body is any text: subclass it for queues and topics whose senders know nothing of your events.

    class Mail(Message, topic="mails"): ...
    """

    body: str
    group: str = ""
    subject: str = ""
    attributes: dict[str, Any] = {}


def kinds_in(topology: Topology, topic: str) -> list[type[Event]]:
    """Return the classes of a topic of the app; `Missing` when it has no such topic."""
    topics = {kind.topic for kind in topology.kinds.values() if not kind.topic.startswith(OWN_TOPICS)}
    if topic not in topics:
        raise Missing(f"the topic {topic!r}", f"this app has {', '.join(sorted(topics)) or 'none'}")
    return [kind.event for kind in topology.kinds.values() if kind.topic == topic]


def kinds_of(topology: Topology, agent: str) -> list[type[Event]]:
    """Return the classes that an agent takes; `Missing` when the app has no such agent."""
    found = topology.agents.get(agent)
    if found is None:
        raise Missing(f"the agent {agent!r}", f"this app has {', '.join(topology.agents) or 'none'}")
    return list(found.accepts)


def event_in(text: str, kinds: Sequence[type[Event]], hint: str = "") -> Event:
    """Return the event in a JSON text: of the class that `hint` names, or of the only one that it fits.

    `Invalid` with all findings when it fits none of them, or several.
    """
    named = [kind for kind in kinds if hint in (kind.type_, detail_type_of(kind))]
    fitting: list[Event] = []
    findings: list[Finding] = []
    for kind in named or kinds:
        try:
            fitting.append(kind.decoded(text))
        except Invalid as error:
            findings += [Finding(f"{kind.__name__}.{each.path}", each.problem, each.hint) for each in error.findings]
    if len(fitting) > 1:
        names = " and ".join(type(each).__name__ for each in fitting)
        finding = Finding("(whole)", f"fits {names}", "name the type: by `detail-type`, or the attribute `type`")
        raise Invalid("the data", (finding,))
    if not fitting:
        raise Invalid("the data", tuple(findings) or (Finding("(whole)", "there is no event of that kind"),))
    return fitting[0]


def message_in(
    body: str, kinds: Iterable[type[Event]], *, group: str, subject: str, attributes: Mapping[str, Any]
) -> Event:
    """Return the event in the body of a message; a topic whose class is a `Message` takes any text."""
    known = list(kinds)
    plain = next((kind for kind in known if issubclass(kind, Message)), None)
    if plain is not None:
        return plain.checked({"body": body, "group": group, "subject": subject, "attributes": dict(attributes)})
    return event_in(body, known, str(attributes.get("type", "")))
