"""Durable, event-driven multi-agent AI workflows with real-time vector memory.

    from penstock import App, Context, Event

Everything that an app needs is named here; each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.app import App as App
    from penstock.app import Running as Running
    from penstock.core.agents.pieces import Piece as Piece
    from penstock.core.agents.pieces import standing as standing
    from penstock.core.agents.policy import Retry as Retry
    from penstock.core.events.event import Event as Event
    from penstock.core.knowledge.passages import Passage as Passage
    from penstock.runtime.context import Context as Context
    from penstock.runtime.workflow_context import WorkflowContext as WorkflowContext

__version__ = "0.1.0"
__all__ = [
    "App",
    "Context",
    "Event",
    "Passage",
    "Piece",
    "Retry",
    "Running",
    "WorkflowContext",
    "__version__",
    "standing",
]

_HOME = {
    "App": "penstock.app",
    "Context": "penstock.runtime.context",
    "Event": "penstock.core.events.event",
    "Passage": "penstock.core.knowledge.passages",
    "Piece": "penstock.core.agents.pieces",
    "Retry": "penstock.core.agents.policy",
    "Running": "penstock.app",
    "WorkflowContext": "penstock.runtime.workflow_context",
    "standing": "penstock.core.agents.pieces",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
