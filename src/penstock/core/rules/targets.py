"""What a rule calls, with what, and how hard it tries: `Target("agent:audit", input_path="$.detail")`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final
from urllib.parse import urlsplit

from penstock.core.agents.policy import Retry
from penstock.core.patterns.inputs import TargetInput, parse_input
from penstock.errors import Finding, Invalid

KINDS: Final = ("agent", "workflow", "topic")
TARGET_RETRY: Final = Retry(attempts_max=10, delay_s=0.5, factor=2.0, delay_max_s=300.0)
TIMEOUT_S_MAX: Final = 300.0
_PART: Final = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Target:
    """Where a matched event goes: "agent:NAME", "workflow:NAME", "topic:NAME", or an address, "https://...".

    One of `input` (any JSON), `input_path` and `input_transformer` (`{"InputPathsMap": ..., "InputTemplate": ...}`) says what it
    gets; without them an address gets the whole event, and everything else its `detail`. What is given up on lies in the dead
    letters of `rule.RULE.NAME`. `retry`, `timeout_s` and `connection` (what authorises the calls) are for addresses.
    """

    to: str
    input: Any = None
    input_path: str | None = None
    input_transformer: Mapping[str, Any] | None = None
    retry: Retry = TARGET_RETRY
    timeout_s: float = 30.0
    connection: str = ""
    name: str = ""
    gets: TargetInput = field(default=TargetInput(), init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no target, with all findings."""
        findings = self._findings()
        gets = TargetInput()
        try:
            gets = parse_input(self._document())
        except Invalid as error:
            findings += [Finding(_named(each.path), each.problem, each.hint) for each in error.findings]
        except (TypeError, ValueError) as error:
            findings.append(Finding("input", f"cannot be written as JSON: {error}", "give plain data"))
        if findings:
            raise Invalid(f"the target {self.to!r}", tuple(findings))
        object.__setattr__(self, "gets", gets)
        if not self.name:
            object.__setattr__(self, "name", _PART.sub("-", self._place() if self.is_address else self.subject))

    @property
    def is_address(self) -> bool:
        return self.to.startswith(("http://", "https://"))

    @property
    def kind(self) -> str:
        """agent, workflow, topic or address."""
        return "address" if self.is_address else self.to.partition(":")[0]

    @property
    def subject(self) -> str:
        """The name behind the kind; the address itself."""
        return self.to if self.is_address else self.to.partition(":")[2]

    def _place(self) -> str:
        parts = urlsplit(self.to)
        return f"{parts.hostname}{parts.path}".rstrip("/")

    def _document(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self.input is not None:
            given["Input"] = json.dumps(self.input, ensure_ascii=False, allow_nan=False)
        if self.input_path is not None:
            given["InputPath"] = self.input_path
        if self.input_transformer is not None:
            given["InputTransformer"] = self.input_transformer
        if not given and not self.is_address:
            given["InputPath"] = "$.detail"
        return given

    def _findings(self) -> list[Finding]:
        findings: list[Finding] = []
        if self.is_address:
            if not urlsplit(self.to).hostname:
                findings.append(Finding("to", f"{self.to!r} names no host", "https://HOST/PATH"))
        elif self.kind not in KINDS or not self.subject:
            hint = f"{', '.join(f'{kind}:NAME' for kind in KINDS)}, or https://..."
            findings.append(Finding("to", f"is {self.to!r}", hint))
        if not self.is_address and self.connection:
            findings.append(Finding("connection", "is for addresses", "leave it out"))
        if not 0 < self.timeout_s <= TIMEOUT_S_MAX < inf:
            findings.append(Finding("timeout_s", f"is {self.timeout_s!r}", f"more than 0, {TIMEOUT_S_MAX:g} at most"))
        if self.name and _PART.search(self.name):
            findings.append(Finding("name", f"is {self.name!r}", "use letters, digits, ., - and _"))
        return [*findings, *self.retry.findings("retry")]


def _named(path: str) -> str:
    """Return a place in EventBridge's document as one in a `Target`."""
    for theirs, ours in (("InputTransformer", "input_transformer"), ("InputPath", "input_path"), ("Input", "input")):
        if path.startswith(f"$.{theirs}"):
            return ours + path[len(theirs) + 2 :]
    return path
