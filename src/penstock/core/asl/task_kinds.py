"""By which events the history tells of a task, and how the task ends: that follows from its Resource."""

from functools import lru_cache
from typing import Final, NamedTuple

from penstock.core.asl.resources import WAIT_FOR_TOKEN, Kind, parse_resource

KINDS_KEPT_MAX: Final = 4096
_EVENTS: Final = {Kind.LAMBDA: "LambdaFunction", Kind.ACTIVITY: "Activity"}


class TaskKind(NamedTuple):
    """`events` begins the names of its events: LambdaFunction, Activity or Task."""

    text: str
    events: str
    service: str  # `resourceType` of a Task's events
    action: str  # `resource` of them
    takes_token: bool  # it ends when the holder of a token says so
    is_submitted: bool  # its end comes after it was taken on
    function: str = ""  # the name of the Lambda function

    @property
    def named(self) -> dict[str, str]:
        """What its events say of it."""
        return {"resourceType": self.service, "resource": self.action} if self.events == "Task" else {}


@lru_cache(maxsize=KINDS_KEPT_MAX)
def task_kind(text: str) -> TaskKind:
    """Return the kind of the tasks that a Resource names."""
    resource = parse_resource(text)
    if resource is None or resource.kind is Kind.OTHER:
        return TaskKind(text, "Task", "other", text, takes_token=False, is_submitted=False)
    events = _EVENTS.get(resource.kind, "Task")
    if resource.kind is not Kind.SERVICE:
        function = resource.name if resource.kind is Kind.LAMBDA else ""
        return TaskKind(
            text, events, resource.kind.value, resource.name, takes_token=False, is_submitted=False, function=function
        )
    service = f"aws-sdk:{resource.service}" if resource.sdk else resource.service
    version = f":{resource.version}" if resource.version else ""
    action = f"{resource.action}.{resource.pattern}{version}" if resource.pattern else resource.action
    waits = resource.pattern == WAIT_FOR_TOKEN
    return TaskKind(text, events, service, action, takes_token=waits, is_submitted=bool(resource.pattern))
