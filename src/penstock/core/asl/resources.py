"""What the Resource of a Task names: an agent or a workflow of ours, a Lambda function, an activity, a service of AWS."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    AGENT = "agent"
    WORKFLOW = "workflow"
    LAMBDA = "lambda"
    ACTIVITY = "activity"
    SERVICE = "service"
    OTHER = "other"


WAIT_FOR_TOKEN: Final = "waitForTaskToken"  # noqa: S105 - the name of a pattern
_SUBSTITUTION: Final = re.compile(r"\$\{[^}]*\}")
_ARN: Final = re.compile(r"arn:[\w-]*:([\w-]+):([^:]*):([^:]*):(.+)", re.DOTALL)
_FUNCTION: Final = re.compile(r"function:[\w-]+(:(\$LATEST|[\w-]+))?", re.ASCII)
_INTEGRATION: Final = re.compile(r"(?:(aws-sdk):)?([\w-]+):(\w+)(?:\.(\w+)(?::(\d+))?)?", re.ASCII)
_BARE: Final = re.compile(r"[\w.\-/]+")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S*")


@dataclass(frozen=True, slots=True)
class Resource:
    """A parsed Resource.

    `name` is that of the agent, workflow, function or activity. A service has `service` and `action` (`sqs`, `sendMessage`), and
    `sdk` where it is called through `aws-sdk:`. `pattern` is `sync`, `waitForTaskToken` or empty; `version` the 2 of `.sync:2`.
    """

    text: str
    kind: Kind
    name: str = ""
    service: str = ""
    action: str = ""
    pattern: str = ""
    version: str = ""
    sdk: bool = False


def parse_resource(text: str) -> Resource | None:
    """Return what a Resource names, or None when it is neither an ARN nor a URI nor a name. `${...}` may stand for any part."""
    filled = _SUBSTITUTION.sub("x", text)
    if filled == "x":
        return Resource(text, Kind.OTHER)
    for kind in (Kind.AGENT, Kind.WORKFLOW):
        if filled.startswith(f"{kind}:"):
            name = text.removeprefix(f"{kind}:")
            return Resource(text, kind, name) if name.strip() else None
    if filled.startswith("arn:"):
        found = _ARN.fullmatch(filled)
        return _parsed_arn(text, *found.groups()) if found else None
    if _BARE.fullmatch(filled):
        return Resource(text, Kind.ACTIVITY, text)
    return Resource(text, Kind.OTHER) if _URI.fullmatch(filled) else None


def _parsed_arn(text: str, service: str, region: str, account: str, rest: str) -> Resource | None:
    if service == "lambda":
        return Resource(text, Kind.LAMBDA, rest.split(":")[1]) if _FUNCTION.fullmatch(rest) else None
    if service == "states" and rest.startswith("activity:"):
        return Resource(text, Kind.ACTIVITY, rest.removeprefix("activity:"))
    if service == "states" and not region and not account:
        found = _INTEGRATION.fullmatch(rest)
        if found is None:
            return None
        sdk, called, action, pattern, version = found.groups()
        return Resource(text, Kind.SERVICE, "", called, action, pattern or "", version or "", sdk is not None)
    return None if rest.endswith((":", "/")) else Resource(text, Kind.OTHER)
