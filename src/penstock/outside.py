"""What state machines and rules reach outside of their app, from the settings: where Maps read and write, who answers calls.

Beside `wiring.py`, the module that names concrete adapters for them.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from penstock.errors import Finding, Invalid
from penstock.ports.objects import Objects
from penstock.runtime.connections import Send
from penstock.runtime.engine import Engine
from penstock.runtime.machine_tasks import Outside
from penstock.runtime.map_files import ItemFiles, ResultFiles
from penstock.runtime.reaching import Reaching

HINT = "use file:FOLDER, whose folders are the buckets, s3: or s3:http://HOST:PORT"


@contextmanager
def opened_outside(objects: str, own: Outside, reaching: Reaching) -> Generator[Callable[[Engine, Outside], None]]:
    """Open what the settings name, and yield what tells an engine of it, and of what the app itself has, which comes first.

    `objects` may be empty: then no Map reads or writes. `reaching` is what penstock itself does for them.
    """
    with ExitStack() as stack:
        opened = stack.enter_context(open_objects(objects)) if objects else None

        def reached(engine: Engine, outside: Outside) -> None:
            reaching.fill(engine, outside)
            if opened is not None:
                add_map_files(outside, opened)
            outside.add(own)

        yield reached


@asynccontextmanager
async def opened_calls() -> AsyncGenerator[Send]:
    """Yield what calls over HTTP are made with."""
    from penstock.adapters.http.client import open_http

    async with open_http() as http:
        yield http


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


def add_map_files(outside: Outside, objects: Objects) -> None:
    """Have Maps read and write objects."""
    from penstock.adapters.tables.arrow import ArrowTables

    items = ItemFiles(objects, ArrowTables())
    outside.sources |= {"s3:getObject": items, "s3:listObjectsV2": items}
    outside.sinks |= {"s3:putObject": ResultFiles(objects)}
