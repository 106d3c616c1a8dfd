"""Starting tasks in the engine's group."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any


class Tasks:
    """The group in which everything of an engine runs: none outlives it, and an error in one ends all.

    Each begins with the context variables of the engine's beginning: what one handler sets is not the next one's (C10).
    """

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._context = copy_context()
        self.ending = False  # all are being cancelled, by us

    def start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
        """Run `work` beside everything else; None when the engine is ending: then the next start does it, from the log."""
        try:
            return self._group.create_task(work, context=self._context.copy())
        except RuntimeError:  # "TaskGroup is shutting down": there is no other way to ask
            work.close()
            return None

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what the engine cannot be without: when it fails all end, and no handler is to blame for being cut off."""
        if self.start(self._ends_all(work)) is None:
            work.close()

    async def _ends_all(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            self.ending = True  # the group cancels all after this
            raise
