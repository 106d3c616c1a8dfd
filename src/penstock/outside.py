"""What state machines and rules reach outside of their app, from the settings: where Maps read and write, who answers calls.

Beside `wiring.py`, the module that names concrete adapters for them.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from penstock.errors import Finding, Invalid
from penstock.ports.objects import Objects
from penstock.runtime.connections import Send
from penstock.runtime.engine import Engine
from penstock.runtime.machine_tasks import Outside
from penstock.runtime.map_files import ItemFiles, ResultFiles
from penstock.runtime.reaching import Fills, Reaching
from penstock.runtime.remote_services import SERVICES, Elsewhere, fill_remote

HINT = "use file:FOLDER, whose folders are the buckets, s3: or s3:http://HOST:PORT"


def reached_by(objects: Objects | None, own: Outside, reaching: Reaching) -> Callable[[Engine, Outside], None]:
    """Return what tells an engine of what its state machines reach; what the app itself has comes first.

    Without `objects` no Map reads or writes. `reaching` is what penstock itself does for them.
    """

    def reached(engine: Engine, outside: Outside) -> None:
        reaching.fill(engine, outside)
        if objects is not None:
            add_map_files(outside, objects)
        outside.add(own)

    return reached


@asynccontextmanager
async def opened_calls() -> AsyncGenerator[Send]:
    """Yield what calls over HTTP are made with."""
    from penstock.adapters.http.client import open_http

    async with open_http() as http:
        yield http


@contextmanager
def opened_services(services: str) -> Generator[tuple[Fills, ...]]:
    """Open who carries out what Tasks call: nobody but penstock itself for an empty text.

    "aws", or "aws:http://HOST:PORT" for who speaks its protocol; "sqs=aws,dynamodb=aws:http://..." for some services alone.
    """
    with ExitStack() as stack:
        fills: list[Fills] = []
        for service, address in _services_in(services):
            from penstock.adapters.aws.services import open_aws

            aws = stack.enter_context(open_aws(address or None))
            named = (service,) if service else SERVICES
            fills.append(partial(_filled, aws, named))
        yield tuple(fills)


def _filled(aws: Elsewhere, named: Collection[str], outside: Outside) -> None:
    fill_remote(outside, aws, named)


def _services_in(text: str) -> list[tuple[str, str]]:
    """Return services, or all as an empty text, with the address that carries them out; `Invalid` with all findings."""
    found: list[tuple[str, str]] = []
    findings: list[Finding] = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        service, equals, place = part.partition("=") if "=" in part.partition("//")[0] else ("", "", part)
        kind, _, address = place.partition(":")
        if kind != "aws" or (address and not address.startswith(("http://", "https://"))):
            findings.append(Finding("services", f"{place!r} is not known", "aws, or aws:http://HOST:PORT"))
        elif equals and service not in SERVICES:
            findings.append(Finding("services", f"{service!r} is no service", f"one of {', '.join(SERVICES)}"))
        else:
            found.append((service, address))
    if findings:
        raise Invalid("the settings", tuple(findings))
    return found


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
