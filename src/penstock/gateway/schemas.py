"""The schema registry over HTTP, shaped like Confluent's: its clients take the address with `/v1/registry` at its end.

What does not fit is answered with a problem document (422) that has all findings.
"""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from penstock.core.schemas.registry import Version
from penstock.errors import Finding, Invalid, Missing
from penstock.gateway.callers import RunningApp, Tenant
from penstock.gateway.problems import documented

routes = APIRouter(prefix="/v1/registry", tags=["schemas"])


class SchemaGiven(BaseModel):
    """A schema, as a text of JSON."""

    model_config = ConfigDict(extra="ignore")  # clients of Confluent's registry send more

    schema_: str = Field(alias="schema")
    schemaType: str = "AVRO"  # noqa: N815 - the name that Confluent gave it


class ModeGiven(BaseModel):
    """To what new versions are held."""

    compatibility: str


@routes.get("/subjects", summary="List subjects", responses=documented(404, 422))
async def list_subjects(running: RunningApp, tenant: Tenant) -> list[str]:
    return await running.schemas(tenant=tenant).subjects()


@routes.get("/subjects/{subject}/versions", summary="List versions", responses=documented(404, 422))
async def list_versions(subject: str, running: RunningApp, tenant: Tenant) -> list[int]:
    return [each.version for each in await running.schemas(tenant=tenant).versions(subject)]


@routes.get("/subjects/{subject}/versions/{version}", summary="Get a version", responses=documented(404, 422))
async def get_version(subject: str, version: str, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    return _shown(await running.schemas(tenant=tenant).version(subject, _number(version)))


@routes.post("/subjects/{subject}/versions", summary="Register a schema", responses=documented(404, 413, 422))
async def register(subject: str, given: SchemaGiven, running: RunningApp, tenant: Tenant) -> dict[str, int]:
    """Register a schema as the next version; one that is there already keeps its id."""
    found = await running.schemas(tenant=tenant).register(subject, given.schema_, kind=given.schemaType.upper())
    return {"id": found.id}


@routes.post("/subjects/{subject}", summary="Find a schema's version", responses=documented(404, 422))
async def look_up(subject: str, given: SchemaGiven, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    """Return the version of a subject that has this schema."""
    wanted = Version(subject, 0, 0, "JSON" if given.schemaType.upper() == "JSON" else "AVRO", given.schema_)
    for each in await running.schemas(tenant=tenant).versions(subject):
        if each.kind == wanted.kind and each.digest == wanted.digest:
            return _shown(each)
    raise Missing("the schema", f"register it under {subject!r}")


@routes.get("/schemas/ids/{id}", summary="Get a schema by its id", responses=documented(404, 422))
async def get_schema(id: int, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    found = await running.schemas(tenant=tenant).by_id(id)
    return {"schema": found.schema, **({} if found.kind == "AVRO" else {"schemaType": found.kind})}


@routes.post(
    "/compatibility/subjects/{subject}/versions/{version}", summary="Try a schema", responses=documented(404, 422)
)
async def check(subject: str, version: str, given: SchemaGiven, running: RunningApp, tenant: Tenant) -> dict[str, Any]:
    """Say whether a schema could be the next version. `version` is `latest`: which ones count is what the mode says."""
    _number(version)
    findings = await running.schemas(tenant=tenant).check(subject, given.schema_, kind=given.schemaType.upper())
    return {"is_compatible": not findings, "messages": [str(each) for each in findings]}


@routes.get("/config", summary="Get the compatibility", responses=documented(404, 422))
async def get_mode(running: RunningApp, tenant: Tenant) -> dict[str, str]:
    return {"compatibilityLevel": await running.schemas(tenant=tenant).mode()}


@routes.put("/config", summary="Choose the compatibility", responses=documented(404, 422))
async def choose_mode(given: ModeGiven, running: RunningApp, tenant: Tenant) -> ModeGiven:
    await running.schemas(tenant=tenant).choose(given.compatibility)
    return given


@routes.get("/config/{subject}", summary="Get a subject's compatibility", responses=documented(404, 422))
async def get_subject_mode(subject: str, running: RunningApp, tenant: Tenant) -> dict[str, str]:
    return {"compatibilityLevel": await running.schemas(tenant=tenant).mode(subject)}


@routes.put("/config/{subject}", summary="Choose a subject's compatibility", responses=documented(404, 422))
async def choose_subject_mode(subject: str, given: ModeGiven, running: RunningApp, tenant: Tenant) -> ModeGiven:
    await running.schemas(tenant=tenant).choose(given.compatibility, subject)
    return given


@routes.delete("/config/{subject}", summary="Hold a subject to what holds for all", responses=documented(404, 422))
async def forget_subject_mode(subject: str, running: RunningApp, tenant: Tenant) -> Response:
    await running.schemas(tenant=tenant).choose("", subject)
    return Response(status_code=204)


def _number(version: str) -> int | None:
    if version == "latest":
        return None
    if not version.isdecimal():
        raise Invalid("the version", (Finding("version", f"is {version[:80]!r}", "a number, or latest"),))
    return int(version)


def _shown(found: Version) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "subject": found.subject,
        "version": found.version,
        "id": found.id,
        "schema": found.schema,
    }
    return shown if found.kind == "AVRO" else {**shown, "schemaType": found.kind}
