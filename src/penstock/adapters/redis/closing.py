"""Connections to a Redis that are closed when their client is.

The library closes a connection at once where an answer is an error, or a task is cancelled that waits for one, and forgets it.
Over TLS that takes a moment more: who ends meanwhile leaves a socket open.
"""

import asyncio
from collections import deque
from typing import Any

LAST = 8  # connections that were closed in haste; those before them are closed by now
GOODBYE_S = 1.0


class Goodbyes:
    """What a client has closed in haste."""

    def __init__(self, client: Any) -> None:
        """`client`: one that has connected to nothing yet."""
        self._client = client
        self._left = left = deque[asyncio.StreamWriter](maxlen=LAST)
        pool, known = client.connection_pool, client.connection_pool.connection_class

        class Connection(known):
            """One that is known until it is closed."""

            async def disconnect(self, nowait: bool = False, **more: Any) -> None:  # noqa: FBT001, FBT002 - the library's
                writer = self._writer
                if nowait and writer is not None:
                    left.append(writer)
                await known.disconnect(self, nowait, **more)

        pool.connection_class = Connection

    async def aclose(self) -> None:
        """Close the client, and return once all its connections are closed, or a second has passed."""
        await self._client.aclose()
        try:
            async with asyncio.timeout(GOODBYE_S):
                await asyncio.gather(*(each.wait_closed() for each in self._left), return_exceptions=True)
        except TimeoutError:
            pass  # it is cut off
