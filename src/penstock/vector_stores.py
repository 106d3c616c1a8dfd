"""Vectors outside of the store: from the setting `vectors` to the adapter that it names."""

from contextlib import AsyncExitStack

from msgspec import structs

from penstock.errors import Finding, Invalid
from penstock.runtime.collection import Index
from penstock.settings import POSTGRES, shown_url


async def opened_vectors(url: str, index: Index, stack: AsyncExitStack) -> Index:
    """Words as before, vectors elsewhere: written before the commit that says so, and idempotently."""
    if url.partition(":")[0] not in POSTGRES:
        raise Invalid("the settings", (Finding("vectors", f"{shown_url(url)!r} is not known", "use postgresql://..."),))
    from penstock.adapters.postgres.passages import open_postgres_passages
    from penstock.layers.spaces_apart import SpacesApart

    vectors = await stack.enter_async_context(open_postgres_passages(url))
    spaces = None if index.spaces is None else SpacesApart((vectors, index.spaces))
    return structs.replace(index, vectors=vectors, in_store=False, together=False, spaces=spaces)
