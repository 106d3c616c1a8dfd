"""How a handler ended that runs elsewhere: what it returned, emitted and changed, as it travels, and as the engine takes it."""

from collections.abc import Callable
from typing import Any, cast

from msgspec import Raw

from penstock.core.events.event import Event
from penstock.core.hosting.messages import Emitted, Ended, Returned
from penstock.core.sessions.history import Role
from penstock.core.timing.timers import When
from penstock.errors import Missing
from penstock.runtime.context import Context
from penstock.runtime.delays import Delayed
from penstock.runtime.outcomes import body_of
from penstock.runtime.remote_context import RemoteContext

ClassOf = Callable[[str], type[Event]]


def ended_well(handling: int, context: RemoteContext, result: Any) -> Ended:
    """Return what a handling comes to, in a worker; raises for what cannot be stored."""
    session, values = context.changed
    wishes = [] if context.delays is None else context.delays.wishes
    return Ended(
        handling,
        _returned(result),
        [_emitted(event, key) for event, key in context.emitted],
        [_wish(each) for each in wishes],
        None if session is None or not session.added else session.id,
        [] if session is None else [(each.role, each.content) for each in session.added],
        {} if values is None else dict(values.changed),
    )


async def taken(ended: Ended, context: Context, class_of: ClassOf) -> Any:
    """Have the engine's context take what a handling came to, and return what the handler returned."""
    for each in ended.emitted:
        context.emit(_event(each, class_of), key=each.key)
    for each in ended.later:
        event = _event(each, class_of) if each.type else None
        when = When(each.after_s, each.at_ms) if each.after_s is not None or each.at_ms is not None else None
        context.later.add(Delayed(event, each.key, when, each.timer))
    if ended.session is not None:
        session = context.session_of(ended.session)
        for role, content in ended.messages:
            await session.add(cast("Role", role), content)
    for name, value in ended.values.items():
        await context.values.set(name, None if value is None else Raw(value))
    returned = ended.returned or Returned([])
    items: list[Any] = [Raw(each) if isinstance(each, bytes) else _event(each, class_of) for each in returned.items]
    return items if returned.is_list else items[0] if items else None


def _returned(result: Any) -> Returned:
    if result is None:
        return Returned([])
    many = cast("list[Any] | tuple[Any, ...]", result) if isinstance(result, list | tuple) else None
    if many is None or (many and not any(isinstance(each, Event) for each in many)):
        return Returned([_item(result)])
    return Returned([_item(each) for each in many], is_list=True)


def _item(result: Any) -> Emitted | bytes:
    return _emitted(result, None) if isinstance(result, Event) else body_of(result) or b"null"


def _emitted(event: Event, key: str | None) -> Emitted:
    return Emitted(event.type_, event.encoded(), key)


def _wish(wish: Delayed) -> Emitted:
    after_s, at_ms = (None, None) if wish.when is None else (wish.when.after_s, wish.when.at_ms)
    if wish.event is None:
        return Emitted("", b"", None, after_s, at_ms, wish.name)
    return Emitted(wish.event.type_, wish.event.encoded(), wish.key, after_s, at_ms, wish.name)


def _event(emitted: Emitted, class_of: ClassOf) -> Event:
    return class_of(emitted.type).decoded(emitted.data)


def class_finder(known: Callable[[str], type[Event] | None]) -> ClassOf:
    """Return what finds the class of an event type: one that the app names, or else any that is defined."""

    def found(type: str) -> type[Event]:
        named = known(type) or _subclass(Event, type)
        if named is None:
            hint = "define it at module level, in a module that the app imports"
            raise Missing(f"the class of the event type {type!r}", hint)
        return named

    return found


def _subclass(of: type[Event], type: str) -> "type[Event] | None":
    for each in of.__subclasses__():
        if each.type_ == type:
            return each
        deeper = _subclass(each, type)
        if deeper is not None:
            return deeper
    return None
