"""A run as a picture in the terminal: when each of its steps was recorded, on one line of time."""

from collections.abc import Sequence

from rich.cells import cell_len

BAR_CELLS = 32
BAR, EMPTY = "━", " "
SECOND_MS, MINUTE_MS = 1000, 60_000


def step_lines(begun_ms: int, steps: Sequence[tuple[str, int]]) -> list[str]:
    """Return a line for each step (name, when it was recorded): its bar begins where the one before it ended.

    Only ends are recorded: steps that ran side by side are drawn one after the other.
    """
    if not steps:
        return []
    span_ms = max(1, max(at_ms for _, at_ms in steps) - begun_ms)
    left = max(cell_len(name) for name, _ in steps)
    lines: list[str] = []
    before_ms = begun_ms
    for name, at_ms in steps:
        first, last = (_cell(each - begun_ms, span_ms) for each in (before_ms, at_ms))
        bar = (EMPTY * min(first, BAR_CELLS - 1) + BAR * max(1, last - first)).ljust(BAR_CELLS)
        lines.append(f"{name}{EMPTY * (left - cell_len(name))}  {bar}  {_lasted(max(0, at_ms - before_ms))}")
        before_ms = max(before_ms, at_ms)
    return lines


def _cell(offset_ms: int, span_ms: int) -> int:
    return max(0, offset_ms) * BAR_CELLS // span_ms


def _lasted(duration_ms: int) -> str:
    if duration_ms < SECOND_MS:
        return f"{duration_ms} ms"
    if duration_ms < MINUTE_MS:
        return f"{duration_ms / SECOND_MS:.1f} s"
    return f"{duration_ms / MINUTE_MS:.1f} min"
