"""What users subclass to say which events there are. Name and version make the event's type.

class Question(Event, key="session_id"):
    session_id: str
    text: str
"""

import re
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from penstock.core.events.blobs import require_whole
from penstock.errors import Finding, Invalid


class Event(BaseModel):
    """A typed, immutable fact. An undeclared field is refused.

    Class arguments: `topic` (default: the class name in kebab case), `key` (the field whose value orders the
    events; default: the key of the agent that takes them), `version` (default 1).
    """

    # JSON has no NaN and no infinity: an event that held one could be written, and never be read again.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    topic_: ClassVar[str] = ""
    type_: ClassVar[str] = ""
    key_: ClassVar[str | None] = None
    version_: ClassVar[int] = 1

    def __init_subclass__(cls, *, topic: str = "", key: str | None = None, version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.version_ = version
        cls.type_ = f"{cls.__name__}.v{version}"
        cls.topic_ = topic or _kebab(cls.__name__)
        cls.key_ = key if key is not None else cls.key_

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.key_ is not None and cls.key_ not in cls.model_fields:
            hint = f"one of its fields: {', '.join(cls.model_fields) or 'it has none'}"
            raise Invalid(f"the event {cls.__name__}", (Finding("key", f"{cls.key_!r} is not a field", hint),))

    def encoded(self) -> bytes:
        """Return the event's data as JSON; `Invalid` when it cannot be written (half a character, bytes that are no text)."""
        try:
            return self.__pydantic_serializer__.to_json(self)
        except PydanticSerializationError as error:
            raise Invalid(f"the data of {self.type_}", (Finding("(whole)", str(error), "send text"),)) from error

    @classmethod
    def decoded(cls, data: bytes | str) -> Self:
        """Return the event in `data` (JSON); `Invalid` with all findings when it does not fit."""
        try:
            return cls.__pydantic_validator__.validate_json(data)
        except ValidationError as error:
            require_whole(data, f"the data of {cls.type_}")
            raise Invalid(f"the data of {cls.type_}", findings_of(error)) from error

    @classmethod
    def checked(cls, values: object) -> Self:
        """Return the event with these values; `Invalid` with all findings when they do not fit."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise Invalid(f"the data of {cls.type_}", findings_of(error)) from error


def findings_of(error: ValidationError) -> tuple[Finding, ...]:
    """Translate pydantic's findings into ours."""
    return tuple(
        Finding(".".join(str(part) for part in each["loc"]) or "(whole)", each["msg"])
        for each in error.errors(include_url=False)
    )


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
