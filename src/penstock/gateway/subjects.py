"""Forgetting somebody over HTTP. Names are in bodies and never in addresses, which are logged on their way."""

from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from penstock.core.events.subjects import SUBJECT_BYTES_MAX
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented

routes = APIRouter(prefix="/v1/subjects", tags=["subjects"])
_PROBLEMS = documented(404, 409, 422, 429, 503, 504)


class Subject(BaseModel):
    """Who is meant."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field(min_length=1, max_length=SUBJECT_BYTES_MAX)


class Traced(Subject):
    """Who is meant, and what else is looked for in the files."""

    texts: list[str] = Field(default=[], max_length=1000)


class Shown(BaseModel):
    """A receipt, and whose it may be."""

    model_config = ConfigDict(extra="forbid")

    receipt: dict[str, Any]
    subject: str = ""


class Valid(BaseModel):
    """Whether this store signed it."""

    valid: bool


@routes.post("/forget", responses=_PROBLEMS)
async def forget(body: Subject, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    """Have all go that is about a subject of the tenant, and return the signed receipt of that."""
    return msgspec.to_builtins(await running.forget(body.subject, tenant=tenant))


@routes.post("/traces", responses=_PROBLEMS)
async def traces(body: Traced, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    """Look whether anything is left of a subject: in the log, in indexes, and as bytes in the files of the store."""
    return msgspec.to_builtins(await running.traces(body.subject, texts=body.texts, tenant=tenant))


@routes.post("/receipts", responses=_PROBLEMS)
async def check_receipt(body: Shown, running: RunningApp, tenant: Tenant) -> Valid:
    """Say whether a receipt was signed by this store as it is, and is about the subject, where one is named."""
    assert tenant, "a receipt names its own"
    return Valid(valid=running.is_receipt(body.receipt, body.subject))
