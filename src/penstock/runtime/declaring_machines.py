"""What an app declares for its state machines: services of its own, beside those that penstock has."""

import re

from penstock.errors import Finding, Invalid
from penstock.runtime.machine_tasks import ItemSource, Outside, ResultSink, TaskService

_ACTIVITY = re.compile(r"[\w.-]{1,80}", re.ASCII)
_NAME = re.compile(r"(aws-sdk:)?[\w-]+:([\w.-]+|\*)", re.ASCII)


class DeclaresServices:
    """The part of an app that says what its state machines reach."""

    def __init__(self) -> None:
        self.outside = Outside()

    def service(self, name: str, service: TaskService) -> None:
        """Have tasks whose Resource is `arn:aws:states:::NAME` done by an async function of a `TaskCall`: "crm:addNote", "crm:*".

        It takes the place of a service of penstock's own of this name. Its answer is recorded; until then it may be called
        again, with the same `idempotency_key`. It raises `TaskFailed` for an error that Retry and Catch know by its name.
        """
        self.outside.services[_required(name)] = service

    def activity(self, name: str) -> None:
        """Have tasks whose Resource is this activity, by ARN or name, wait for workers: `live.get_activity_task(name)`."""
        if not _ACTIVITY.fullmatch(name):
            finding = Finding("name", f"is {name!r}", "1 to 80 letters, digits, and - . _")
            raise Invalid("the activity", (finding,))
        self.outside.activities.add(name)

    def item_source(self, name: str, source: ItemSource) -> None:
        """Have the ItemReader of Maps that names `arn:aws:states:::NAME` read by an async function of a `ReadCall`."""
        self.outside.sources[_required(name)] = source

    def result_sink(self, name: str, sink: ResultSink) -> None:
        """Have the ResultWriter of Maps that names `arn:aws:states:::NAME` write by an async function of a `WriteCall`."""
        self.outside.sinks[_required(name)] = sink


def _required(name: str) -> str:
    if not _NAME.fullmatch(name):
        finding = Finding("name", f"is {name!r}", 'SERVICE:ACTION or SERVICE:*, as in "crm:addNote"')
        raise Invalid("the service", (finding,))
    return name
