"""The label of a distributed Map, which becomes a part of its children's names."""

from typing import Final

from penstock.core.asl.findings import Finding, finding
from penstock.core.asl.values import Json

CHARS_MAX: Final = 40
FORBIDDEN: Final = frozenset('?*<>{}[]:;,\\|^~$#%&`"')
_HINT: Final = "use letters, digits, - and _"


def label(value: Json, path: str, _language: str) -> list[Finding]:
    """Check a Label."""
    if not isinstance(value, str):
        return [finding("value-type", path, "must be a string")]
    if not 1 <= len(value) <= CHARS_MAX:
        return [finding("label", path, f"has {len(value)} characters, but must have from 1 to {CHARS_MAX}")]
    bad = sorted({char for char in value if char in FORBIDDEN or char.isspace() or is_control(char)})
    return [finding("label", path, f"has characters that it cannot have: {bad}", _HINT)] if bad else []


def is_control(char: str) -> bool:
    """Tell whether a character is one of the C0 and C1 controls, which no name may have."""
    return char < " " or "\x7f" <= char <= "\x9f"
