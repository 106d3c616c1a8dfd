"""Asking the HTTP API of an app that runs: who owns its store is the app."""

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from penstock.core.events.tenant import require_tenant
from penstock.errors import Finding, Invalid, Missing, Refused, Unavailable

TIMEOUT_S = 30.0


def posted(url: str, path: str, body: Any, *, tenant: str, within_s: float = TIMEOUT_S) -> Any:
    """Send JSON to a running app, and return what it answers; its problems come as our errors."""
    return _answered(url, path, json.dumps(body).encode(), tenant=tenant, within_s=within_s)


def deleted(url: str, path: str, *, tenant: str = "default") -> Any:
    """Have a running app let something go, and return what it answers; its problems come as our errors."""
    return _answered(url, path, None, tenant=tenant, method="DELETE")


def sent(url: str, path: str, body: Any, *, tenant: str) -> Any:
    """Put JSON to a running app, and return what it answers; its problems come as our errors."""
    return _answered(url, path, json.dumps(body).encode(), tenant=tenant, method="PUT")


def asked(url: str, path: str, *, tenant: str = "default") -> Any:
    """Ask a running app, and return what it answers; its problems come as our errors."""
    return _answered(url, path, None, tenant=tenant)


def lines_of(url: str, path: str, *, tenant: str) -> Iterator[bytes]:
    """Ask a running app for lines of JSON, and yield them as they come; its problems come as our errors."""
    with _open(url, path, None, tenant=tenant) as answer:
        yield from answer


def _answered(
    url: str, path: str, body: bytes | None, *, tenant: str, method: str | None = None, within_s: float = TIMEOUT_S
) -> Any:
    with _open(url, path, body, tenant=tenant, method=method, within_s=within_s) as answer:
        said = answer.read()
    try:
        return json.loads(said)
    except ValueError as error:
        raise Refused(f"what {url} answers is no JSON", "give --url the address of a penstock app") from error


@contextmanager
def _open(
    url: str, path: str, body: bytes | None, *, tenant: str, method: str | None = None, within_s: float = TIMEOUT_S
) -> Generator[IO[bytes]]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise Invalid(
            "the options", (Finding("--url", f"is {url!r}", "as `penstock serve` says it: http://HOST:PORT"),)
        )
    headers = {"content-type": "application/json", "x-tenant": require_tenant(tenant, "--tenant")}
    request = Request(url.rstrip("/") + path, body, headers, method=method)  # noqa: S310 - http only, see above
    try:
        with urlopen(request, timeout=within_s) as answer:  # noqa: S310 - the same
            yield answer
    except HTTPError as error:
        raise _ours(error.code, _problem(error.read())) from error
    except (URLError, TimeoutError, OSError, HTTPException) as error:
        raise Unavailable(f"the app at {url}", "POST" if body else "GET", str(error)) from error


def _problem(body: bytes) -> dict[str, Any]:
    try:
        return json.loads(body)
    except ValueError:
        return {"detail": body.decode(errors="replace")[:200]}


def _ours(status: int, problem: dict[str, Any]) -> Exception:
    detail = str(problem.get("detail", ""))
    if findings := problem.get("findings"):
        return Invalid("the request", tuple(Finding(each["path"], each["problem"], each["hint"]) for each in findings))
    what, _, hint = detail.partition(": ")
    if status == 404:  # noqa: PLR2004 - of HTTP
        return Missing(what.removesuffix(" is missing"), hint)
    return Unavailable("the app", "POST", detail) if status >= 500 else Refused(what, hint)  # noqa: PLR2004 - of HTTP
