"""Where the handlings of agents are executed. Its contract, as tests: `penstock.testing.host_contract`.

A host has workers, and carries bytes to and from them; it knows nothing of what they say (docs/decisions/0053). In one's own
process there is no host: handlers are called directly.
"""

from typing import Protocol

from msgspec import Struct

from penstock.core.agents.resources import Resources


class Place(Struct, frozen=True):
    """What a worker is for: `entry` names who serves there, as "module:function", and is given `body`."""

    name: str
    entry: str
    body: bytes
    resources: Resources


class Worker(Protocol):
    """A process that executes handlings.

    HW1 order    What is said to it arrives once, whole and in order; so does what is heard from it.
    HW2 quiet    `hear` returns within a few seconds, with nothing if there is nothing; so a worker that is silent is dead.
    HW3 death    When its process, or its machine, is gone, a call under way and each later one raises `Unavailable`, soon.
    HW4 end      After `end` its process is gone, whatever it was doing; a second `end` does nothing.
    """

    async def say(self, body: bytes) -> None:
        """Return once the worker has it. One call at a time."""
        ...

    async def hear(self) -> bytes:
        """Return what it says next. One call at a time."""
        ...

    async def end(self) -> None: ...


class Host(Protocol):
    """A cluster, or whatever starts workers.

    HO1 start    `start` returns a worker whose `entry` has been called with `body`.
    HO2 errors   What the entry raises of `penstock.errors` is raised by `start`, as it is.
    HO3 apart    Workers share nothing: one that dies takes no other with it.
    """

    async def start(self, place: Place) -> Worker:
        """Start a worker; `Unavailable` when the host does not answer, or has no room within its time."""
        ...
