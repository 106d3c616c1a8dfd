"""Removing a store from a Postgres, with all that is in it."""

from penstock.adapters.postgres.address import address_of
from penstock.adapters.postgres.database import connected


async def remove_schema(url: str) -> None:
    """Remove the schema of an address."""
    address = address_of(url)
    async with connected(address, writing=True) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {address.schema} CASCADE")
