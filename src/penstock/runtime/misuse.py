"""What is wrong with using a context where it does not belong: it would be lost, or become part of another run."""

from penstock.errors import Refused


def misused(what: str, run_id: str, *, over: bool) -> Refused:
    """Return the error for what is asked of the context of a run that has ended (`over`), or by another run's handler."""
    if over:
        return Refused(f"{what} comes after its handling has ended", "await in the handler what it starts")
    return Refused(
        f"{what} is asked of the context of another run, {run_id}", "use the ctx that this handler was given"
    )
