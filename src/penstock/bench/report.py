"""What a person sees of a benchmark: a bar while it runs, a table at the end. Rich is imported only when it is shown."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

WIDTH = 110
_ROWS = (
    ("turns_per_s", "turns per second", "closed loop, replies released after their commit"),
    ("p50_ms", "latency, median, ms", "from sending the event to the released reply"),
    ("p99_ms", "latency, 99th percentile, ms", ""),
    ("cpu_ms_per_turn", "processor time a turn, ms", "of this process, with the client"),
    ("bytes_per_turn", "bytes on disk a turn", "events, journal, run and session, after the checkpoint"),
    ("turns_per_commit", "turns per commit", "how many share one sync of the disk"),
    ("commits", "commits", "within the window"),
    ("rss_mb", "resident memory, MiB", ""),
    ("import_ms", "import, ms", "of penstock.app, in a fresh interpreter"),
    ("open_ms", "open, ms", "of the store, with 1,000 sessions in it"),
    ("in_flight", "turns in flight", ""),
    ("seconds", "window, s", ""),
    ("turns", "turns", "answered within the window"),
    ("errors", "errors", ""),
)


def table(found: Mapping[str, Any]) -> str:
    """Return the figures as a table of text."""
    from rich.console import Console
    from rich.table import Table

    shown = Table("figure", "value", "what it is", title=_title(found), title_justify="left")
    shown.columns[1].justify = "right"
    for name, label, note in _ROWS:
        shown.add_row(label, "-" if found[name] is None else f"{found[name]:,}", note)
    console = Console(width=WIDTH)  # a file or a pipe is no narrower than a screen
    with console.capture() as captured:
        console.print(shown)
        if found["first_error"]:
            console.print(f"first error: {found['first_error']}", markup=False)
        if found["filesystem"] == "tmpfs":
            console.print("The store was on tmpfs, where a sync costs nothing: run it in a folder on a disk.")
        console.print(", ".join(f"{name} {version}" for name, version in found["versions"].items()), markup=False)
    return captured.get()


@contextmanager
def progress(what: str, total_s: float) -> Generator[None]:
    """Show on stderr how much of the time is over."""
    from time import perf_counter

    from rich.console import Console
    from rich.progress import Progress

    began_s = perf_counter()
    with Progress(console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
        bar.add_task(what, total=total_s)
        # The bar's own thread draws it: it asks for the time, so that the event loop is left alone.
        bar.get_time = lambda: perf_counter() - began_s
        yield


def _title(found: Mapping[str, Any]) -> str:
    steps = "each step waits for the disk" if found["each_step"] else "only the reply waits for the disk"
    over = f" over {found['log']}" if found["log"] else ""
    return f"W1, durable turns{over} on {found['store']} ({found['filesystem'] or 'no disk'}): {steps}"
