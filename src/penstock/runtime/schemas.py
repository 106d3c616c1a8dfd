"""The schema registry: an agent that keeps subjects and their versions, and the door to it.

Its state are values of the agent: durable with the commit that registers, replayable like all else. What does not fit is said to
who asked, and leaves nothing in the dead letters.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.agents.journal import decode_value
from penstock.core.schemas.events import NAME, REGISTRY, CompatibilityChosen, SchemaOffered
from penstock.core.schemas.registry import (
    DEFAULT_MODE,
    Mode,
    Version,
    digest_of,
    incompatible,
    next_version,
    require_mode,
    require_schema,
)
from penstock.errors import Finding, Invalid, LimitReached, Missing
from penstock.runtime.context import Context
from penstock.runtime.engine import Engine

SUBJECTS_MAX = 10_000
_SUBJECT, _MODE, _IDS = "subject ", "mode ", "ids"


def schema_registry() -> Agent:
    """Return the agent that keeps schemas."""
    return declare(keep, NAME, Options())


async def keep(said: SchemaOffered | CompatibilityChosen, ctx: Context) -> dict[str, Any]:
    """Keep what is registered; return the version, or the findings that are in its way."""
    try:
        if isinstance(said, CompatibilityChosen):
            await ctx.values.set(_MODE + said.subject, require_mode(said.mode) if said.mode else None)
            return {}
        return {"version": msgspec.to_builtins(await _kept(said, ctx))}
    except Invalid as error:
        return {"what": error.what, "findings": [[each.path, each.problem, each.hint] for each in error.findings]}
    except LimitReached as error:
        return {"limit": [error.limit, error.value, error.maximum]}


async def _kept(said: SchemaOffered, ctx: Context) -> Version:
    kind = require_schema(said.subject, said.kind, said.document)
    earlier: list[Version] = await ctx.values.get(_SUBJECT + said.subject, [], to=list[Version])
    mode = await ctx.values.get(_MODE + said.subject) or await ctx.values.get(_MODE) or DEFAULT_MODE
    ids: dict[str, int] = await ctx.values.get(_IDS, {}, to=dict[str, int])
    digest = digest_of(kind, said.document)
    given = ids.get(digest, len(ids) + 1)
    version = next_version(said.subject, kind, said.document, earlier, mode, given)
    if version not in earlier:
        if len(ids) >= SUBJECTS_MAX:
            raise LimitReached("the number of schemas", len(ids) + 1, SUBJECTS_MAX)
        await ctx.values.set(_IDS, {**ids, digest: given})
        await ctx.values.set(_SUBJECT + said.subject, [*earlier, version])
    return version


class Schemas:
    """The registry of one tenant, of a running app."""

    def __init__(self, engine: Engine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant

    async def register(self, subject: str, document: str, *, kind: str = "AVRO") -> Version:
        """Register a schema, and return its version once that is durable; one that is there already keeps its own.

        `Invalid` with all findings when it is no schema, or not compatible with the versions before it.
        """
        require_schema(subject, kind, document)
        said = await self._said(SchemaOffered(subject=subject, kind=kind, document=document))
        return msgspec.convert(said["version"], Version)

    async def check(self, subject: str, document: str, *, kind: str = "AVRO") -> list[Finding]:
        """Return what is in the way of a schema as the next version of a subject, without registering it."""
        known = require_schema(subject, kind, document)
        earlier, mode = await self.versions(subject, missing_ok=True), await self.mode(subject)
        return [
            Finding(each.location, f"{who} version {number}: {each.kind} ({each.message})", f"compatibility is {mode}")
            for number, who, each in incompatible(known, document, earlier, mode)
        ]

    async def subjects(self) -> list[str]:
        """Return the subjects, by name."""
        return sorted(name.removeprefix(_SUBJECT) for name in await self._values() if name.startswith(_SUBJECT))

    async def versions(self, subject: str, *, missing_ok: bool = False) -> Sequence[Version]:
        """Return the versions of a subject, the first one first; `Missing` when there are none."""
        body = (await self._values()).get(_SUBJECT + subject)
        if body is None and not missing_ok:
            raise Missing(f"the subject {subject!r}", "see `penstock schema list`")
        return [] if body is None else decode_value(body, list[Version])

    async def version(self, subject: str, number: int | None = None) -> Version:
        """Return a version of a subject, the newest by default; `Missing` when there is none such."""
        found = await self.versions(subject)
        if number is None:
            return found[-1]
        for each in found:
            if each.version == number:
                return each
        raise Missing(f"version {number} of {subject!r}", f"it has {found[0].version} to {found[-1].version}")

    async def by_id(self, id: int) -> Version:
        """Return a version with the schema of an id; `Missing` when there is none such."""
        for name, body in (await self._values()).items():
            if name.startswith(_SUBJECT):
                for each in decode_value(body, list[Version]):
                    if each.id == id:
                        return each
        raise Missing(f"the schema with id {id}", "ids are those of this tenant's registry")

    async def mode(self, subject: str = "") -> Mode:
        """Return to which mode new versions of a subject are held; without one, that of all who say nothing."""
        values = await self._values()
        body = values.get(_MODE + subject) or values.get(_MODE)
        return DEFAULT_MODE if body is None else decode_value(body, Any)

    async def choose(self, mode: str, subject: str = "") -> None:
        """Hold new versions of a subject (empty: all that say nothing) to a mode; an empty mode: to that of all."""
        if mode:
            require_mode(mode)
        await self._said(CompatibilityChosen(subject=subject, mode=mode.upper()))

    async def _said(self, said: SchemaOffered | CompatibilityChosen) -> dict[str, Any]:
        answer = msgspec.json.decode(await self._engine.call(NAME, said, tenant=self._tenant), type=dict[str, Any])
        if findings := answer.get("findings"):
            raise Invalid(answer["what"], tuple(Finding(*each) for each in findings))
        if limit := answer.get("limit"):
            raise LimitReached(limit[0], limit[1], limit[2], "use another subject, or another tenant")
        return answer

    async def _values(self) -> Mapping[str, bytes]:
        return await self._engine.parts.store.values(self._tenant, NAME, REGISTRY)
