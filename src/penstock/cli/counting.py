"""How many handlings are under way, for whoever waits for their end."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from penstock.app import App
from penstock.core.agents.declaration import Handler


def count_handlings(app: App) -> Callable[[], int]:
    """Count the handlings of an app's agents from now on, and return what tells how many are under way.

    Workflow runs are not counted: they may wait for days, and nobody waits for them to end.
    """
    under_way = 0

    def counted(handler: Handler) -> Handler:
        @wraps(handler)
        async def handled(*arguments: Any) -> Any:
            nonlocal under_way
            under_way += 1
            try:
                return await handler(*arguments)
            finally:
                under_way -= 1

        return handled

    for name, agent in app.agents.items():
        if not agent.options.workflow:
            app.agents[name] = replace(agent, handler=counted(agent.handler))
    return lambda: under_way
