"""An array that grows at its end: appending costs amortised constant time, reading is a view.

A view is good until the next `extend`: hold none across one.
"""

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Item = TypeVar("Item", bound=np.generic)

_CAPACITY_MIN = 16


class Growing(Generic[Item]):
    """Rows of one type; each a number, or `width` of them.

    `room`: for so many rows there is room from the beginning, which takes memory only as it is used.
    """

    def __init__(self, dtype: type[Item], width: int | None = None, *, room: int = _CAPACITY_MIN) -> None:
        shape = (room,) if width is None else (room, width)
        self._buffer: NDArray[Item] = np.empty(shape, dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def dtype(self) -> DTypeLike:
        return self._buffer.dtype

    @property
    def view(self) -> NDArray[Item]:
        return self._buffer[: self._size]

    def extend(self, values: ArrayLike) -> None:
        """Append rows."""
        added = np.asarray(values, dtype=self._buffer.dtype)
        size = self._size + len(added)
        if size > len(self._buffer):
            larger = np.empty((max(size, len(self._buffer) * 3 // 2), *self._buffer.shape[1:]), self._buffer.dtype)
            larger[: self._size] = self.view
            self._buffer = larger
        self._buffer[self._size : size] = added
        self._size = size

    def shorten(self, size: int) -> None:
        """Keep the first `size` rows."""
        self._size = min(size, self._size)
