"""All that can go wrong, as one tree: one class for each reaction of a caller.

Arguments equal fields, so that every error survives pickling. A message ends with what to do.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with what was given: where, what, and how to mend it."""

    path: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}: {self.problem}{hint}"


class PenstockError(Exception):
    """The root: catch it to catch ours and nothing else."""


class Unavailable(PenstockError):
    """A backend did not answer: the operation may or may not have happened. Repeat it."""

    def __init__(self, backend: str, operation: str, reason: str = "") -> None:
        super().__init__(backend, operation, reason)
        self.backend = backend
        self.operation = operation
        self.reason = reason

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.backend} did not answer {self.operation!r}{reason}: try again"


class NotLetIn(Unavailable):
    """A backend does not let us in. Mend the setting; meanwhile it is as if it were away: what waits for it is not lost."""

    def __init__(self, backend: str, operation: str, setting: str, reason: str = "") -> None:
        super().__init__(backend, operation, reason)
        self.args = (backend, operation, setting, reason)
        self.setting = setting

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return (
            f"{self.backend} does not let us in for {self.operation!r}{reason}: set {self.setting} to what it accepts"
        )


class Refused(PenstockError):
    """A backend or a rule said no. Repeating the same call gives the same answer."""

    def __init__(self, reason: str, hint: str = "change the call: repeating it will not help") -> None:
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.reason}: {self.hint}"


class Fenced(PenstockError):
    """Another worker owns the state now (C5): nothing was written, and nothing will be."""

    def __init__(self, owner: str, epoch: int) -> None:
        super().__init__(owner, epoch)
        self.owner = owner
        self.epoch = epoch

    def __str__(self) -> str:
        return f"{self.owner!r} lost its epoch {self.epoch} to another worker: stop, and start again"


class Invalid(PenstockError):
    """What was given cannot be accepted. `findings` names all that is wrong with it."""

    def __init__(self, what: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(what, findings)
        self.what = what
        self.findings = findings

    def __str__(self) -> str:
        return "\n  ".join([f"cannot accept {self.what}:", *(str(f) for f in self.findings)])


class Missing(PenstockError):
    """Something that must be there is not: a package, a file, an agent, a run. The hint tells how to get it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} is missing: {self.hint}"


class Forgotten(Missing):
    """What is asked for was about a subject that was forgotten: it is gone for good. Go on without it."""

    def __init__(self, what: str, hint: str = "its subject was forgotten: go on without it") -> None:
        super().__init__(what, hint)


class TimedOut(PenstockError):
    """Something took longer than it was allowed to. Its work goes on, or was cancelled, as its name says."""

    def __init__(self, what: str, after_s: float) -> None:
        super().__init__(what, after_s)
        self.what = what
        self.after_s = after_s

    def __str__(self) -> str:
        return f"{self.what} did not end within {self.after_s:g} s: allow more time, or ask less of it"


class LimitReached(PenstockError):
    """A bound that keeps the system safe (C9) was hit."""

    def __init__(self, limit: str, value: float, maximum: float, hint: str = "send less, or raise the limit") -> None:
        super().__init__(limit, value, maximum, hint)
        self.limit = limit
        self.value = value
        self.maximum = maximum
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.limit} is {self.value:g}, at most {self.maximum:g} is allowed: {self.hint}"


class RunFailed(PenstockError):
    """A run that was waited for ended in failure: it is in the dead-letter list with this reason."""

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(run_id, reason)
        self.run_id = run_id
        self.reason = reason

    def __str__(self) -> str:
        return f"run {self.run_id} failed: {self.reason}; see `penstock runs show {self.run_id}`"


class StepFailed(PenstockError):
    """A step failed for good, after all its attempts or because a person said so. Trying again gives the same answer."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)
        self.step = step
        self.reason = reason

    def __str__(self) -> str:
        return f"step {self.step} failed: {self.reason}"


class RunCancelled(RunFailed):
    """A run that was waited for was ended for a reason that lies outside of it: another event, or a person. Ask anew, or not."""

    def __str__(self) -> str:
        return f"run {self.run_id} was cancelled: {self.reason}; see `penstock runs show {self.run_id}`"


class Diverged(PenstockError):
    """Code does not fit what runs under way have recorded: run them with code that does, or pin them to their version.

    Nothing is lost: they go on where they were.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason}: keep the old code under its version, or ask `ctx.version(...)` where it changed"
