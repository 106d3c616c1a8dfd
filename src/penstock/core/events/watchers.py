"""Who is to be called when something came: what every store and broker keeps for its `watch`."""

from collections.abc import Callable


class Watchers:
    """Functions to call, as long as those who gave them want it."""

    def __init__(self) -> None:
        self._called: list[Callable[[], None]] = []

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called from now on, until the returned function is called."""
        self._called.append(wake)
        return lambda: self._called.remove(wake)

    def wake(self) -> None:
        """Call all who watch."""
        for wake in tuple(self._called):  # one who is woken may stop watching
            wake()
