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
        task = self.start(work)
        if task is not None:
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Say so before any of those runs that the group has just cancelled."""
        if not task.cancelled() and task.exception() is not None:
            self.ending = True
