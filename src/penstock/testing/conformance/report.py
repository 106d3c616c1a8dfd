"""What came of a conformance test: a row for each guarantee, with what was tried and counted."""

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, field

Result = Literal["holds", "broken", "not tried", "does not hold", "is not there"]
AS_SAID: Final = ("holds", "does not hold", "is not there")  # results that are no surprise
GUARANTEES: Final = {
    "C1": "durable",
    "C2": "order",
    "C3": "atomic",
    "C4": "steps",
    "C5": "fencing",
    "C6": "nothing dropped",
    "C7": "release after commit",
    "C8": "replay",
    "C9": "bounded",
    "C10": "isolation",
    "C11": "time",
    "knowledge": "is found",
}


class Row(Struct):
    """One guarantee: `tried` says in words what was done, `counts` what was counted.

    `limit`: why it is known not to hold whole; `absent`: why it is not there at all, and where it is.
    """

    guarantee: str
    tried: str = ""
    counts: dict[str, float] = field(default_factory=dict[str, float])
    findings: list[str] = field(default_factory=list[str])
    limit: str = ""
    absent: str = ""

    @property
    def name(self) -> str:
        return GUARANTEES[self.guarantee]

    @property
    def result(self) -> Result:
        if self.findings:
            return "broken"
        if self.absent:
            return "is not there"
        if self.limit:
            return "does not hold"
        return "holds" if self.tried else "not tried"

    def expect(self, holds: bool, finding: str) -> None:  # noqa: FBT001 - what is expected reads as a sentence
        """Note a finding unless something holds."""
        if not holds:
            self.findings.append(finding)


class Report(Struct):
    """All rows, and what they were made on.

    `outcome`: a digest of all answers, which must be equal on all tiers; `outcome_of_agents`: of what agents alone came to.
    """

    settings: dict[str, str]
    rows: dict[str, Row] = field(default_factory=lambda: {each: Row(each) for each in GUARANTEES})
    seconds: float = 0.0
    outcome: str = ""
    outcome_of_agents: str = ""
    notes: list[str] = field(default_factory=list[str])

    def __getitem__(self, guarantee: str) -> Row:
        return self.rows[guarantee]

    @property
    def holds(self) -> bool:
        return all(row.result == "holds" for row in self.rows.values())

    @property
    def is_as_said(self) -> bool:
        """Whether nothing is broken, and all was tried that can be."""
        return all(row.result in AS_SAID for row in self.rows.values())

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        rows = [{"name": row.name, "result": row.result, **msgspec.to_builtins(row)} for row in self.rows.values()]
        whole = {"settings": self.settings, "holds": self.holds, "is_as_said": self.is_as_said, "seconds": self.seconds}
        outcomes = {"outcome": self.outcome, "outcome_of_agents": self.outcome_of_agents}
        return whole | outcomes | {"rows": rows, "notes": self.notes}


def counted(counts: dict[str, float]) -> str:
    """Return counts as people read them."""
    return ", ".join(f"{name} {value:g}" for name, value in counts.items())
