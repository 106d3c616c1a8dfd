"""How an expression is marked in a definition: `{% ... %}` fills a text from its first character to its last."""

from typing import Final, Literal, TypeAlias

OPENING: Final = "{%"
CLOSING: Final = "%}"
Kind: TypeAlias = Literal["array", "boolean", "number", "object", "string"]
"""What a field can ask an expression for."""


def is_query(value: object) -> bool:
    """Tell whether a value is a JSONata expression."""
    return (
        isinstance(value, str)
        and len(value) >= len(OPENING) + len(CLOSING)
        and value.startswith(OPENING)
        and value.endswith(CLOSING)
    )


def unmarked(text: str) -> str:
    """Return the expression without its marks and the blanks around it."""
    return text.removeprefix(OPENING).removesuffix(CLOSING).strip()
