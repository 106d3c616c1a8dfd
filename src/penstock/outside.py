"""What state machines reach outside of their app, from the settings: where their Maps read and write.

Beside `wiring.py`, the module that names concrete adapters for them.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from penstock.errors import Finding, Invalid
from penstock.ports.objects import Objects
from penstock.runtime.machine_tasks import ItemSource, ResultSink
from penstock.runtime.map_files import ItemFiles, ResultFiles

HINT = "use file:FOLDER, whose folders are the buckets, s3: or s3:http://HOST:PORT"


class MapFiles(NamedTuple):
    """What reads the items of Maps and writes their results, by the names that resources give them."""

    sources: dict[str, ItemSource]
    sinks: dict[str, ResultSink]


@contextmanager
def open_objects(url: str) -> Generator[Objects]:
    """Open the objects that an address names: "file:FOLDER", "s3:", or "s3:http://HOST:PORT" for what is compatible with it."""
    kind, colon, rest = url.partition(":")
    if kind == "s3" and colon:
        from penstock.adapters.s3.objects import open_s3

        with open_s3(rest or None) as objects:
            yield objects
        return
    if kind != "file" or not rest:
        raise Invalid("the settings", (Finding("objects", f"{url!r} is not known", HINT),))
    from penstock.adapters.folders.objects import FolderObjects

    folder = Path(rest.removeprefix("//") if rest.startswith("///") else rest).expanduser()
    if not folder.is_dir():
        raise Invalid(
            "the settings", (Finding("objects", f"{folder} is no folder", "make it, and a folder for each bucket"),)
        )
    yield FolderObjects(folder)


def map_files(objects: Objects) -> MapFiles:
    """Return what Maps read and write with."""
    from penstock.adapters.tables.arrow import ArrowTables

    items = ItemFiles(objects, ArrowTables())
    return MapFiles({"s3:getObject": items, "s3:listObjectsV2": items}, {"s3:putObject": ResultFiles(objects)})
