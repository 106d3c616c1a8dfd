"""What tests of an app need, and the contracts that adapters keep.

    from penstock import testing

An app in memory and virtual time, models and tools that answer from a script or a recording, and processes that die where
you say. `docs/testing.md` shows all of it. Each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.runtime.write_points import AT_WORK as AT_WORK
    from penstock.runtime.write_points import WritePoint as WritePoint
    from penstock.testing.apps import Disk as Disk
    from penstock.testing.apps import Live as Live
    from penstock.testing.apps import app as app
    from penstock.testing.apps import crash_starting as crash_starting
    from penstock.testing.cassette import Cassette as Cassette
    from penstock.testing.crashing import Crashed as Crashed
    from penstock.testing.crashing import NotReached as NotReached
    from penstock.testing.pacing import PACES as PACES
    from penstock.testing.pacing import PacedClock as PacedClock
    from penstock.testing.plain_data import redacted as redacted
    from penstock.testing.scripted_model import ScriptedModel as ScriptedModel
    from penstock.testing.stored_runs import replay as replay
    from penstock.testing.stored_runs import replays as replays
    from penstock.testing.stored_runs import save_histories as save_histories
    from penstock.testing.virtual_time import VirtualClock as VirtualClock
    from penstock.testing.virtual_time import run_virtually as run_virtually

_HOME = {
    "Cassette": "cassette",
    "Crashed": "crashing",
    "Disk": "apps",
    "Live": "apps",
    "NotReached": "crashing",
    "PACES": "pacing",
    "PacedClock": "pacing",
    "ScriptedModel": "scripted_model",
    "VirtualClock": "virtual_time",
    "app": "apps",
    "crash_starting": "apps",
    "redacted": "plain_data",
    "replay": "stored_runs",
    "replays": "stored_runs",
    "run_virtually": "virtual_time",
    "save_histories": "stored_runs",
}
__all__ = [  # noqa: RUF022 - in the order in which they are met
    "app",
    "Live",
    "Disk",
    "run_virtually",
    "VirtualClock",
    "PacedClock",
    "PACES",
    "WritePoint",
    "AT_WORK",
    "crash_starting",
    "Crashed",
    "NotReached",
    "ScriptedModel",
    "Cassette",
    "redacted",
    "replays",
    "save_histories",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name in ("AT_WORK", "WritePoint"):
        return getattr(import_module("penstock.runtime.write_points"), name)
    if name not in _HOME:
        raise AttributeError(f"module 'penstock.testing' has no attribute {name!r}")
    return getattr(import_module(f"penstock.testing.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
