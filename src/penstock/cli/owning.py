"""Commands that change something in a store that no app runs on: one without agents of its own owns it for a moment."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from penstock.app import App, Running
from penstock.cli import looking
from penstock.errors import Refused


def owned_store(file: Path | None, store: str | None, *command: str) -> str:
    """Return the address of a store that its owner alone can open: elsewhere an owner would be pushed aside."""
    url = looking.place(file, store, *command).url
    if not url.startswith("sqlite:"):
        raise Refused("a store on a server may have an owner", "give --url http://HOST:PORT of the app that runs on it")
    return url


async def owning(url: str, work: Callable[[Running], Awaitable[object]]) -> None:
    """Do something to a store; `Refused` when an app runs on it."""
    try:
        async with App("penstock").running(store=url) as live:
            await work(live)
    except Refused as error:
        if "in use" not in error.reason:
            raise
        raise Refused(error.reason, "give --url http://HOST:PORT of the app that runs on it") from error
