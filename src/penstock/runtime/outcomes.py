"""What handlers return and raise, as it is stored."""

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock.core.agents.declaration import Agent
from penstock.core.events.event import Event
from penstock.core.events.texts import told
from penstock.errors import Invalid, LimitReached, Missing, Refused, StepFailed

FINAL = (Invalid, LimitReached, Missing, Refused, StepFailed)  # trying again gives the same answer
REASON_CHARS_MAX = 4000
RESULT_BYTES_MAX = 64 * 1024 * 1024
_OURS = Path(__file__).parents[1]
_PYTHONS = Path(asyncio.__file__).parents[1]
_json = msgspec.json.Encoder(enc_hook=lambda value: value.model_dump(mode="json")).encode


def body_of(result: Any) -> bytes:
    """Return what a handler returned as JSON; empty for None."""
    if result is None:
        return b""
    try:
        body = result.encoded() if isinstance(result, Event) else _json(result)
    except (TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"what the handler returned cannot be stored ({error})", "return events or plain data") from error
    if len(body) > RESULT_BYTES_MAX:
        raise LimitReached("what the handler returned, in bytes of JSON,", len(body), RESULT_BYTES_MAX)
    return body


def events_of(result: Any) -> list[Event]:
    """Return the events among what a handler returned: one, or several in a list or tuple."""
    returned = cast("list[Any]", result) if isinstance(result, list | tuple) else [result]
    return [each for each in returned if isinstance(each, Event)]


def require_annotated(agent: Agent, result: Any) -> None:
    """Refuse a result that is not what the handler is annotated to return: nobody would get what he waits for."""
    if not agent.emits or result is None:
        return
    returned = cast("list[Any]", result) if isinstance(result, list | tuple) else [result]
    others = sorted({type(each).__name__ for each in returned if type(each) not in agent.emits})
    if others:
        names = ", ".join(event.__name__ for event in agent.emits)
        raise Refused(
            f"{agent.name!r} returned {', '.join(others)}, and is annotated to return {names}", "mend one of them"
        )


def reason_of(error: BaseException) -> str:
    """Return why a handler failed and where in the user's code, in at most `REASON_CHARS_MAX` characters."""
    said = told(error, REASON_CHARS_MAX)
    place = place_of(error) or getattr(error, "place", "")  # of one that was raised elsewhere
    return f"{said} [{place}]" if place else said


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost frame that is not ours or a library's."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if is_users(file):
            place = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def is_users(file: str) -> bool:
    """Whether code of this file is neither ours nor a library's."""
    path = Path(file)
    return not (path.is_relative_to(_OURS) or "site-packages" in path.parts or path.is_relative_to(_PYTHONS))
