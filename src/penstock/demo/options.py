"""What the command line may ask of the demo."""

from dataclasses import dataclass
from pathlib import Path

from penstock.demo.questions import Asked, shipped
from penstock.errors import Finding, Invalid


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks for. `json` puts one JSON object on the last line; `fresh` begins with an empty store."""

    docs: Path | None = None
    ask: tuple[str, ...] = ()
    interactive: bool = False
    crash: bool = False
    json: bool = False
    store: Path | None = None
    fresh: bool = False
    limit: int | None = None


def questions_of(options: DemoOptions) -> list[Asked]:
    """Return what is to be asked; `Invalid` when the options contradict each other."""
    if options.limit is not None and options.limit < 1:
        raise Invalid("the options", (Finding("--limit", f"is {options.limit}", "1 or more"),))
    if options.ask:
        return [Asked(text) for text in options.ask]
    asked = shipped() if options.docs is None else [Asked(each.text) for each in shipped()]
    return asked[: options.limit]
