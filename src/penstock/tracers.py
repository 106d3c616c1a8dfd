"""Whether an app is traced, and by what: nothing of OpenTelemetry is imported where it is not.

It is when the environment asks for it by OpenTelemetry's own variables, when the program has a provider of the SDK already, or
when the app was given one (`app.trace_by`).
"""

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from penstock.ports.tracer import Tracer

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SECRET = ("HEADERS", "CLIENT_KEY", "PASSWORD", "TOKEN")  # in names of variables
_SDK = "opentelemetry.sdk.trace"
_OWN = ("HEADERS", "CERTIFICATE", "KEY", "PYTHON")
_log = logging.getLogger("penstock")


def opened_tracer(
    app: str, given: Any, stack: "ExitStack | AsyncExitStack", environment: Mapping[str, str] | None = None
) -> Tracer | None:
    """Return what traces an app, or None; what it has not sent when `stack` is closed is sent then.

    Raises `Invalid` and `Missing` for what the environment asks for and is not there; an installation without OpenTelemetry is
    told once, since the variables may be meant for other programs.
    """
    environment = os.environ if environment is None else environment
    if given is None and not (is_asked_for(environment) or has_provider(environment)):
        return None
    if not _is_installed():
        return None
    from penstock.adapters.otel.opening import flushed, provider_of
    from penstock.adapters.otel.tracer import OtelTracer

    provider = provider_of(app, environment) if given is None else given
    stack.callback(partial(flushed, provider))
    return OtelTracer(provider, _version())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("penstock")
    except PackageNotFoundError:  # it was brought along as files, as to workers of Flink
        return ""


def require_traceable(environment: Mapping[str, str] | None = None) -> None:
    """Raise `Invalid` and `Missing` for traces that the environment asks for and cannot be, where others will make them."""
    environment = os.environ if environment is None else environment
    if is_asked_for(environment) and _is_installed():
        from penstock.adapters.otel.opening import require_exporters

        require_exporters(environment)


def _is_installed() -> bool:
    if find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None:
        return True
    _log.warning("OTEL_* variables ask for traces, and OpenTelemetry is not installed: pip install 'penstock[otel]'")
    return False


def passed_on(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what the environment says of traces to those who trace elsewhere; secrets, and paths of this machine, stay here."""
    environment = os.environ if environment is None else environment
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("OTEL_") and not any(each in name for each in _OWN)
    }


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether variables ask for traces: an exporter that is named, or an address to send them to."""
    if _is_off(environment):
        return False
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    return named != "none" if named else any(environment.get(each) for each in _ENDPOINTS)


def told_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that say how processes elsewhere are to trace; nothing where none ask for it.

    Those that hold secrets are left out: they are set where these processes run.
    """
    if not is_asked_for(environment):
        return {}
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("OTEL_") and not any(each in name for each in _SECRET)
    }


def has_provider(environment: Mapping[str, str]) -> bool:
    """Whether the program has set up the SDK itself."""
    if _SDK not in sys.modules or _is_off(environment):
        return False
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import get_tracer_provider

    return isinstance(get_tracer_provider(), TracerProvider)


def _is_off(environment: Mapping[str, str]) -> bool:
    return environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
