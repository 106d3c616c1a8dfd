"""The agent that keeps an app's tables: an item is a value of its own, and calls for it are handled one at a time.

So a call is done once however often it is asked for under one id, its condition sees all calls before it, and what it changes is
durable with its answer (C2, C3).
"""

from collections.abc import Mapping
from typing import Any, Final

from penstock.core.agents.declaration import Agent, Options, declare
from penstock.core.tables.operations import performed
from penstock.core.tables.refusals import NOT_FOUND, TableRefused
from penstock.core.tables.schema import Schema
from penstock.core.tables.table_events import TableCalled
from penstock.core.tables.values import Item
from penstock.runtime.context import Context

NAME: Final = "tables"
ITEM: Final = "item"


class Tables:
    """The tables of an app."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self.schemas = dict(schemas)

    def agent(self) -> Agent:
        """Return the agent that keeps them."""
        return declare(self.hear, NAME, Options())

    def required(self, table: str) -> Schema:
        """Return a table's layout; refuse one that the app does not declare."""
        schema = self.schemas.get(table)
        if schema is None:
            raise TableRefused(NOT_FOUND, "Requested resource not found")
        return schema

    async def hear(self, called: TableCalled, ctx: Context) -> dict[str, Any]:
        """Carry out a call; return its answer, or its refusal."""
        item: Item | None = await ctx.values.get(ITEM)
        try:
            done = performed(self.required(called.table), called.action, called.request, item)
        except TableRefused as refused:
            return {"code": refused.code, "message": refused.message}
        if called.action != "getItem" and done.item != item:
            await ctx.values.set(ITEM, done.item)
        return {"answer": done.answer}
