"""What is said to a schedule: events on a topic of their own, in order per schedule."""

from penstock.core.events.event import Event

TOPIC = "penstock-schedules"


class ScheduleBegan(Event, topic=TOPIC, key="schedule"):
    """The app runs with a plan that the schedule does not follow yet."""

    schedule: str


class ScheduleDue(Event, topic=TOPIC, key="schedule"):
    """The wait for a due time is over."""

    schedule: str
    due_ms: int


class SchedulePaused(Event, topic=TOPIC, key="schedule"):
    """Nothing fires until it is resumed, over restarts too."""

    schedule: str


class ScheduleResumed(Event, topic=TOPIC, key="schedule"):
    """It goes on with the next due time."""

    schedule: str


class ScheduleTriggered(Event, topic=TOPIC, key="schedule"):
    """It fires once now, paused or not; the due times stay as they are."""

    schedule: str
