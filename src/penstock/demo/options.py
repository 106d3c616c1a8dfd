"""What the command line may ask of the demo."""

from dataclasses import dataclass
from pathlib import Path

from penstock.demo.questions import Asked, shipped
from penstock.errors import Finding, Invalid


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks for.

    `docs`: a folder, or one file; `json` puts one JSON object on the last line; `fresh` begins with an empty store;
    `everything` shows every answer, not only the first ones.
    """

    docs: Path | None = None
    ask: tuple[str, ...] = ()
    interactive: bool = False
    crash: bool = False
    json: bool = False
    store: Path | None = None
    fresh: bool = False
    limit: int | None = None
    everything: bool = False


def questions_of(options: DemoOptions) -> list[Asked]:
    """Return what is to be asked: nothing about a person's own documents, unless they say what.

    `Invalid` when the options contradict each other.
    """
    if options.limit is not None and options.limit < 1:
        raise Invalid("the options", (Finding("--limit", f"is {options.limit}", "1 or more"),))
    if options.crash and options.interactive:
        hint = "use one of them: a conversation cannot go on in a process that is killed"
        raise Invalid("the options", (Finding("--crash", "stands beside --interactive", hint),))
    if options.interactive:
        return []
    if options.ask:
        return [Asked(text) for text in options.ask]
    return shipped()[: options.limit] if options.docs is None else []
