"""Where the schemas of values lie that a broker carries. Its contract, as tests: `penstock.testing.registry_contract`."""

from typing import Protocol

from penstock.core.schemas.registry import Kind


class SchemaRegistry(Protocol):
    """Schemas under ids.

    Every implementation guarantees:

    RG1 one id   A schema that is registered again under its subject keeps its id, and the id means it for ever, to everybody.
    RG2 fitting  One that does not fit the versions before it is `Invalid`, with all that is in the way, and leaves nothing.
    RG3 said     An id that nobody has given is `Missing`.
    """

    async def registered(self, subject: str, document: str) -> int:
        """Return the id of an Avro schema under a subject, registering it where it is new."""
        ...

    async def schema(self, id: int) -> tuple[Kind | str, str]:
        """Return the kind of a schema, and the schema."""
        ...
