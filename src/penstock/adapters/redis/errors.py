"""What Redis and its library say is wrong, in our terms."""

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    NoPermissionError,
    ResponseError,
)

from penstock.core.events.tls_errors import tls_setting_of
from penstock.errors import Finding, Invalid, NotLetIn, PenstockError, Refused, Unavailable

ACCESS = "REDIS_USERNAME and REDIS_PASSWORD"
RIGHTS = "the user's rights (+@stream +@hash +time on ~PREFIX*), or another user"
# What Redis says when it is the moment, and not the call, that is wrong.
_PASSING = ("LOADING", "BUSY", "MASTERDOWN", "OOM", "MISCONF", "READONLY", "NOREPLICAS", "TRYAGAIN", "max number of")


def error_of(operation: str, error: Exception) -> PenstockError:
    """Return what to raise for an error of the library."""
    reason = str(error) or type(error).__name__
    if setting := _setting_of(error, reason):
        return NotLetIn("Redis", operation, setting, reason)
    if isinstance(error, ResponseError) and not any(each in reason for each in _PASSING):
        return Refused(f"Redis refused {operation!r}: {reason}", "see the setting log")
    return Unavailable("Redis", operation, reason)


def refusal(operation: str, error: Exception) -> PenstockError:
    """Return what to raise at the start: an app that is not let in would only wait."""
    meant = error_of(operation, error)
    if isinstance(meant, NotLetIn):
        problem = f"Redis does not let us in: {meant.reason}"
        return Invalid("the settings", (Finding("log", problem, f"set {meant.setting}"),))
    return meant


def _setting_of(error: BaseException, reason: str) -> str:
    """Return what to set when this went wrong; empty when it is no setting that is wrong."""
    if told := tls_setting_of(error):
        return f"the setting log: {told}"
    if isinstance(error, NoPermissionError) or "NOPERM" in reason:
        return RIGHTS
    if isinstance(error, AuthenticationError | AuthorizationError) or "NOAUTH" in reason or "WRONGPASS" in reason:
        return ACCESS
    if isinstance(error, InvalidResponse) or "Protocol Error" in reason:
        return "the setting log (what listens there is no Redis)"
    return ""
