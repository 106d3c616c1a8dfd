"""Errors as HTTP: one status per reaction of a caller, as problem documents (RFC 9457) with all findings.

| error | status | what the caller does |
| --- | --- | --- |
| Invalid | 422 | mends what the findings name |
| Missing | 404 | asks for something else |
| Refused | 409 | does not repeat it |
| RunFailed | 409 | mends what the reason names, or redrives the run: what was to be done was given up |
| LimitReached | 413, 429 | sends less; 429: sends it later |
| Unavailable, Fenced | 503 | sends it again after `Retry-After` |

A run that failed is no error of HTTP where somebody asks for the run: it is a fact, and is answered with 200.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from penstock.errors import (
    Fenced,
    Finding,
    Invalid,
    LimitReached,
    Missing,
    PenstockError,
    Refused,
    RunFailed,
    Unavailable,
)
from penstock.gateway.bodies import known_fields

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
TOO_MANY = (
    "the number of open streams",
    "the number of callers who wait",
    "the number of events that wait for the indexer",
)  # limits that pass by themselves


class FindingShown(BaseModel):
    """One thing that is wrong, where, and how to mend it."""

    path: str
    problem: str
    hint: str = ""


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(
        description="The kind of problem: urn:penstock:invalid, missing, refused, limit-reached, unavailable, ..."
    )
    title: str
    status: int
    detail: str = Field(description="What happened, and what to do.")
    findings: list[FindingShown] = []


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the API page says of these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def problem_response(error: PenstockError) -> Response:
    """Return the answer to a request that ended in one of our errors."""
    findings: tuple[Finding, ...] = ()
    headers: dict[str, str] = {}
    match error:
        case Invalid(findings=findings):
            status, kind = HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"
        case Missing():
            status, kind = HTTPStatus.NOT_FOUND, "missing"
        case Refused():
            status, kind = HTTPStatus.CONFLICT, "refused"
        case RunFailed():
            status, kind = HTTPStatus.CONFLICT, "run-failed"
        case LimitReached() if error.limit in TOO_MANY:
            status, kind = HTTPStatus.TOO_MANY_REQUESTS, "limit-reached"
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case LimitReached():
            status, kind = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "limit-reached"
        case Unavailable() | Fenced():
            status, kind = HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case _:
            status, kind = HTTPStatus.INTERNAL_SERVER_ERROR, "failed"
    return _response(status, kind, str(error), findings, headers)


def speak_problems(api: FastAPI) -> None:
    """Answer every error, the web framework's own too, with a problem document."""
    api.add_exception_handler(PenstockError, _ours)
    api.add_exception_handler(RequestValidationError, _not_valid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _unexpected)


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, PenstockError), error
    return problem_response(error)


async def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), error
    model = _body_of(request)
    findings = [
        Finding(
            ".".join(str(part) for part in each["loc"]),
            str(each["msg"]),
            _hint(request, model, each["type"], each["loc"]),
        )
        for each in error.errors()
    ]
    return problem_response(Invalid("the request", tuple(findings)))


def _hint(request: Request, model: type[BaseModel] | None, kind: str, loc: Sequence[str | int]) -> str:
    if tuple(loc) == ("body",) and "json" not in request.headers.get("content-type", ""):
        return "send JSON, and say so: content-type: application/json"
    return "" if model is None or loc[0] != "body" else known_fields(model, kind, loc[1:])


def _body_of(request: Request) -> type[BaseModel] | None:
    """Return the model of the body that the request's route takes, if it has one."""
    body = getattr(request.scope.get("route"), "body_field", None)
    model = None if body is None else body.field_info.annotation
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), error
    kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return _response(HTTPStatus(error.status_code), kind, str(error.detail), (), dict(error.headers or {}))


async def _unexpected(_: Request, error: Exception) -> Response:
    detail = f"{type(error).__name__}: this is a bug of penstock, or of the app; the server's log says more"
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", detail, (), {})


def _response(
    status: HTTPStatus, kind: str, detail: str, findings: tuple[Finding, ...], headers: dict[str, str]
) -> Response:
    document = {
        "type": f"urn:penstock:{kind}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "findings": findings,
    }
    return Response(msgspec.json.encode(document), status.value, headers, MEDIA_TYPE)
