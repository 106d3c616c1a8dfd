"""What a program says while it goes on."""

import asyncio
import logging
from contextlib import contextmanager

WITHIN_S = 40


async def logged(caplog, what):
    """Return once this was logged."""
    with _told(what) as told:
        if what not in caplog.text:
            async with asyncio.timeout(WITHIN_S):
                await told.wait()


@contextmanager
def _told(what):
    event, loop = asyncio.Event(), asyncio.get_running_loop()

    class Ear(logging.Handler):
        def emit(self, record):
            if what in record.getMessage():
                loop.call_soon_threadsafe(event.set)

    ear = Ear()
    logging.getLogger().addHandler(ear)
    try:
        yield event
    finally:
        logging.getLogger().removeHandler(ear)
