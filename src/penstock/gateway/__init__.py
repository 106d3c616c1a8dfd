"""HTTP: the only place that knows the web framework.

from penstock.gateway import web_app       # over an app that runs already
from penstock.gateway import served_app    # opens the app itself, for any ASGI server
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.gateway.web import let_go as let_go
    from penstock.gateway.web import served_app as served_app
    from penstock.gateway.web import web_app as web_app

__all__ = ["let_go", "served_app", "web_app"]


def __getattr__(name: str) -> Any:
    """Import the web framework when it is first asked for: `penstock runs list` shares `shapes` and needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'penstock.gateway' has no attribute {name!r}")
    return getattr(import_module("penstock.gateway.web"), name)
