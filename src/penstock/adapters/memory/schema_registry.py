"""A registry of schemas in memory, for tests."""

from penstock.core.schemas.registry import DEFAULT_MODE, Kind, Version, digest_of, next_version, require_schema
from penstock.errors import Missing


class MemorySchemaRegistry:
    """A `SchemaRegistry`. `ids` has all that was registered."""

    def __init__(self) -> None:
        self.subjects: dict[str, list[Version]] = {}
        self.ids: dict[str, int] = {}

    async def registered(self, subject: str, document: str, kind: str = "AVRO") -> int:
        known = require_schema(subject, kind, document)
        digest = digest_of(known, document)
        earlier = self.subjects.get(subject, [])
        version = next_version(subject, known, document, earlier, DEFAULT_MODE, self.ids.get(digest, len(self.ids) + 1))
        if version not in earlier:
            self.subjects[subject] = [*earlier, version]
            self.ids.setdefault(digest, version.id)
        return version.id

    async def schema(self, id: int) -> tuple[Kind | str, str]:
        for versions in self.subjects.values():
            for each in versions:
                if each.id == id:
                    return each.kind, each.schema
        raise Missing(f"the schema with id {id}", "ids are those of this registry")
