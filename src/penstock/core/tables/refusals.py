"""How a table says no: with the code and the words of DynamoDB."""

from typing import Final

VALIDATION: Final = "ValidationException"
CONDITION_FAILED: Final = "ConditionalCheckFailedException"
NOT_FOUND: Final = "ResourceNotFoundException"


class TableRefused(Exception):
    """An operation that a table does not carry out: nothing was changed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(message: str) -> TableRefused:
    """Return the refusal of a request that says nothing sensible."""
    return TableRefused(VALIDATION, message)


def invalid_value(message: str) -> TableRefused:
    """Return the refusal of a parameter's value."""
    return invalid(f"One or more parameter values were invalid: {message}")
