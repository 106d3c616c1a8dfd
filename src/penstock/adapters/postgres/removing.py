"""Removing a store from a Postgres, with all that is in it."""

from importlib import import_module
from typing import Any

from penstock.adapters.postgres.address import address_of


async def remove_schema(url: str) -> None:
    """Remove the schema of an address."""
    address = address_of(url)
    postgres: Any = import_module("asyncpg")  # parts of it are not typed
    connection = await postgres.connect(address.dsn, timeout=10)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {address.schema} CASCADE")
    finally:
        await connection.close(timeout=10)
