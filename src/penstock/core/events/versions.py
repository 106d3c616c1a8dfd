"""Versions of event types: events that an older version of the code wrote are brought to the newest, one version at a time.

An upcaster is a pure function of an event's plain data of one version; it returns those of the next. Stored events stay as they
are: it is applied each time that one is read.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from penstock.core.events.blobs import require_whole
from penstock.errors import Finding, Invalid

Plain: TypeAlias = dict[str, Any]
Upcaster: TypeAlias = Callable[[Plain], Plain]
_TYPE = re.compile(r"(?P<name>.+)\.v(?P<version>[1-9][0-9]{0,8})")
DEPLOY = "run the newer code, then redrive it"


def type_of(name: str, version: int) -> str:
    """Return an event type, as Order.v2."""
    return f"{name}.v{version}"


def parsed(type: str) -> tuple[str, int] | None:
    """Return name and version of an event type; None when it has none."""
    match = _TYPE.fullmatch(type)
    return None if match is None else (match["name"], int(match["version"]))


def upcaster_findings(version: object, newest: int, known: Mapping[int, Upcaster], function: object) -> list[Finding]:
    """Return what is wrong with a function that is declared to bring data of a version to the next."""
    findings: list[Finding] = []
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version < newest:
        hint = f"from 1 to {newest - 1}" if newest > 1 else "give the class version=2 first"
        findings.append(Finding("version", f"{version!r} is none that came before version {newest}", hint))
    elif version in known:
        findings.append(Finding("version", f"{version} has an upcaster already", "remove one of them"))
    if not callable(function) or inspect.iscoroutinefunction(function):
        findings.append(
            Finding("function", "is not a plain function", "take the data, a dict, and return those of the next")
        )
    return findings


def gaps(newest: int, known: Mapping[int, Upcaster]) -> list[int]:
    """Return the versions that cannot be brought to the newest though an older one is declared to be."""
    return [version for version in range(min(known, default=newest), newest) if version not in known]


def upcast(name: str, version: int, newest: int, upcasters: Mapping[int, Upcaster], data: bytes | str) -> bytes:
    """Return an event's data (JSON) of a version as those of the newest; `Invalid` when an upcaster does not do it."""
    try:
        plain: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        require_whole(data, f"the data of {type_of(name, version)}")
        raise Invalid(f"the data of {type_of(name, version)}", (Finding("(whole)", str(error)),)) from error
    for each in range(version, newest):
        plain = upcast_once(name, each, upcasters[each], plain)
    return msgspec.json.encode(plain)


def upcast_once(name: str, version: int, upcaster: Upcaster, plain: object) -> Plain:
    """Return plain data of a version as those of the next."""
    said = f"the upcaster of {type_of(name, version)}"
    try:
        after = cast("object", upcaster(dict(cast("Plain", plain))))
        msgspec.json.encode(after)
    except Exception as error:  # an upcaster is the user's code: it may raise anything
        finding = Finding(
            f"version {version}", f"{type(error).__name__}: {error}", "mend the upcaster, then redrive it"
        )
        raise Invalid(said, (finding,)) from error
    if not isinstance(after, dict):  # the encoder takes more than that
        raise Invalid(said, (Finding(f"version {version}", f"returned {type(after).__name__}", "return a dict"),))
    return cast("Plain", after)


def unreadable(type: str, newest: str) -> Invalid:
    """Return the error of an event whose version this code cannot read. Nothing is lost: it lies in the dead letters."""
    theirs, ours = parsed(type), parsed(newest)
    if theirs is not None and ours is not None and theirs[1] > ours[1]:
        finding = Finding("type", f"{type} is newer than {newest}, which this code knows", DEPLOY)
    else:
        hint = f"declare @{newest.partition('.')[0]}.upcast({theirs[1] if theirs else 1}), then redrive it"
        finding = Finding("type", f"{type} is older than {newest}, and nothing brings it there", hint)
    return Invalid(f"the event {type}", (finding,))
