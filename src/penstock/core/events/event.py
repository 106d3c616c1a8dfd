"""What users subclass to say which events there are. Name and version make the event's type.

class Question(Event, key="session_id"):
    session_id: str
    text: str
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

from penstock.core.events import versions
from penstock.core.events.blobs import require_whole
from penstock.core.events.subjects import is_gone
from penstock.core.events.versions import Plain, Upcaster
from penstock.errors import Finding, Forgotten, Invalid

SubjectOf = Callable[[Any], str | None]


class Event(BaseModel):
    """A typed, immutable fact. An undeclared field is refused.

    Class arguments: `topic` (default: the class name in kebab case), `key` (the field whose value orders the
    events; default: the key of the agent that takes them), `version` (default 1), `subject` (whom it is about, so that it can be
    forgotten: a field, or a function of the event; None: whom the event is about that it follows from; empty: nobody).

    `avro_` may be set to an Avro schema, as plain data, for brokers that carry Avro; else it follows from the fields.
    """

    # JSON has no NaN and no infinity: an event that held one could be written, and never be read again.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    topic_: ClassVar[str] = ""
    type_: ClassVar[str] = ""
    key_: ClassVar[str | None] = None
    version_: ClassVar[int] = 1
    subject_: ClassVar["str | SubjectOf | None"] = None
    upcasters_: ClassVar[dict[int, Upcaster]] = {}
    avro_: ClassVar[dict[str, Any] | None] = None

    def __init_subclass__(
        cls,
        *,
        topic: str = "",
        key: str | None = None,
        version: int = 1,
        subject: "str | SubjectOf | None" = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.version_ = version
        cls.type_ = versions.type_of(cls.__name__, version)
        cls.upcasters_ = {}
        cls.topic_ = topic or _kebab(cls.__name__)
        cls.key_ = key if key is not None else cls.key_
        cls.subject_ = subject if subject is not None else cls.subject_

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.key_ is not None and cls.key_ not in cls.model_fields:
            hint = f"one of its fields: {', '.join(cls.model_fields) or 'it has none'}"
            raise Invalid(f"the event {cls.__name__}", (Finding("key", f"{cls.key_!r} is not a field", hint),))
        if isinstance(cls.subject_, str) and cls.subject_ and cls.subject_ not in cls.model_fields:
            hint = f"one of its fields, or a function of the event: {', '.join(cls.model_fields) or 'it has none'}"
            raise Invalid(f"the event {cls.__name__}", (Finding("subject", f"{cls.subject_!r} is not a field", hint),))

    @classmethod
    def upcast(cls, version: int) -> Callable[[Upcaster], Upcaster]:
        """Declare a pure function of the plain data of `version` that returns those of the next; `Invalid` with all findings.

        @Order.upcast(1)
        def priced(data: dict[str, Any]) -> dict[str, Any]:
            return {**data, "price": 0}
        """

        def added(function: Upcaster) -> Upcaster:
            findings = versions.upcaster_findings(version, cls.version_, cls.upcasters_, function)
            if findings:
                raise Invalid(f"an upcaster of {cls.__name__}", tuple(findings))
            cls.upcasters_[version] = function
            return function

        return added

    @classmethod
    def reads_(cls) -> tuple[str, ...]:
        """Return the event types that become this class: its own, and those of older versions, the newest first."""
        if not cls.upcasters_:  # nearly always, and asked for with each call
            return (cls.type_,)
        return tuple(
            versions.type_of(cls.__name__, each) for each in (cls.version_, *sorted(cls.upcasters_, reverse=True))
        )

    @classmethod
    def decoded_as(cls, type: str, data: bytes | str) -> Self:
        """Return the event in `data` (JSON) of a type, perhaps of an older version; `Invalid` when it cannot be read."""
        if type == cls.type_:
            return cls.decoded(data)
        named = versions.parsed(type)
        if named is None or named[0] != cls.__name__ or named[1] not in cls.upcasters_:
            raise versions.unreadable(type, cls.type_)
        return cls.decoded(versions.upcast(cls.__name__, named[1], cls.version_, cls.upcasters_, data))

    @classmethod
    def upcast_stored(cls, plain: Plain) -> Plain:
        """Return plain data that were stored without their version as those of the newest that they fit."""
        try:
            cls.model_validate(plain)
        except ValidationError:
            for version in sorted(cls.upcasters_, reverse=True):
                after = plain
                try:
                    for each in range(version, cls.version_):
                        after = versions.upcast_once(cls.__name__, each, cls.upcasters_[each], after)
                    cls.model_validate(after)
                except (ValidationError, Invalid):
                    continue
                return after
        return plain

    def about_(self) -> str | None:
        """Return whom the event is about; None when it does not say: then it is about whom its cause is about."""
        declared = type(self).subject_
        if declared is None:
            return None
        value = (getattr(self, declared) if declared else "") if isinstance(declared, str) else declared(self)
        return None if value is None else str(value)

    def inheriting_(self, subject: str) -> Self:  # noqa: ARG002 - for events that must carry it
        """Return the event as one that is about the subject of its cause."""
        return self

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
            if is_gone(data):
                raise Forgotten(f"the data of an event {cls.type_}") from error
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
