"""What distributed Maps read from objects, and write to them: an `ItemSource` and a `ResultSink` over `Objects`.

An object is read in parts, each parsed in a thread; what of it is held are its items. A table (Parquet, ORC) goes through a file
that is removed again. What fails is `TaskFailed`, with the error and the cause that the Map then has.
"""

import tempfile
from asyncio import to_thread
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from penstock.core.asl.definition import ReaderConfig, WriterConfig
from penstock.core.asl.reading import (
    FLATTEN,
    LIST_OBJECTS,
    TABLES,
    Place,
    asked_place,
    asked_prefix,
    athena_places,
    inventory,
    inventory_rows,
)
from penstock.core.asl.records import HELD_BYTES_MAX, ITEMS_MAX, Intake, ReadingFailed
from penstock.core.asl.results import MANIFEST, Child, file_name, files, folder, manifest, returned
from penstock.core.asl.values import Json
from penstock.errors import Missing, PenstockError
from penstock.ports.objects import PART_BYTES, ObjectInfo, Objects
from penstock.ports.tables import Tables
from penstock.runtime.machine_tasks import ReadCall, TaskFailed, WriteCall

OBJECT_BYTES_MAX: Final = 10 * 1024**3
"""How large an object may be that a Map reads (Step Functions' quota of 10 GB)."""
MANIFEST_BYTES_MAX: Final = 64 * 1024 * 1024
SMALL_BYTES: Final = 64 * 1024
"""Up to here a part is parsed without a thread: that is quicker than the hop."""
NO_KEY: Final = "S3.NoSuchKeyException"
NO_BUCKET: Final = "S3.NoSuchBucketException"


class ItemFiles:
    """Reads items from objects: `s3:getObject` and `s3:listObjectsV2`."""

    def __init__(self, objects: Objects, tables: Tables) -> None:
        self._objects = objects
        self._tables = tables

    async def __call__(self, call: ReadCall, /) -> Json:
        return await self.read(call.resource.text, call.arguments, call.config, call.items_max)

    async def read(self, resource: str, payload: Json, config: ReaderConfig, items_max: int | None) -> "list[Json]":
        """Return the items that a reader asks for; `items_max` of 0 and None: all."""
        held = _Held(items_max or ITEMS_MAX)
        try:
            await self._read(resource, payload, config, held)
        except ReadingFailed as error:
            raise TaskFailed(error.error or "", error.cause) from error
        except Missing as error:
            raise TaskFailed(*_missing(error)) from error
        except PenstockError as error:
            raise TaskFailed("", str(error)) from error
        return held.items[: held.items_max]

    async def _read(self, resource: str, payload: Json, config: ReaderConfig, held: "_Held") -> None:
        if resource.endswith(LIST_OBJECTS):
            await self._listing(asked_prefix(payload), config, held)
            return
        place = asked_place(payload)
        if config.manifest_type == "ATHENA_DATA":
            await self._many(athena_places(await self._whole(place)), config, held)
        elif config.input_type == "MANIFEST":
            found = inventory(await self._whole(place), place.bucket)
            rows = inventory_rows(found) if found.format == "CSV" else ReaderConfig(input_type=found.format)
            await self._many(found.places, rows, held)
        else:
            await self._object(place, config, held)

    async def _listing(self, asked: Place, config: ReaderConfig, held: "_Held") -> None:
        """Take what is known of each object of a listing as an item, or the items in all of them."""
        after = ""
        while not held.is_full and (page := await self._objects.listed(asked.bucket, asked.key, after=after)):
            if config.transformation == FLATTEN:  # what stands for a folder holds nothing
                await self._many([Place(each.bucket, each.key) for each in page if each.size], config, held)
            else:
                held.add([_listed(each) for each in page])
            after = page[-1].key

    async def _many(self, places: Sequence[Place], config: ReaderConfig, held: "_Held") -> None:
        for place in places:
            if held.is_full:
                break
            await self._object(place, config, held)

    async def _object(self, place: Place, config: ReaderConfig, held: "_Held") -> None:
        info = await self._info(place)
        if info.size > OBJECT_BYTES_MAX:
            raise ReadingFailed(f"The object {place.bucket}/{place.key} is larger than 10 GB.")
        if config.input_type in TABLES:
            await self._table(info, config.input_type, held)
            return
        intake = Intake(config, held.items_left, held.bytes_left)
        for start in range(0, info.size, PART_BYTES):
            part = await self._objects.read(info, start, PART_BYTES)
            if len(part) > SMALL_BYTES:
                await to_thread(intake.feed, part)
            else:
                intake.feed(part)
            if intake.is_full:
                break
        held.take(await to_thread(intake.end) if info.size > SMALL_BYTES else intake.end(), intake.held_bytes)

    async def _table(self, info: ObjectInfo, format: str, held: "_Held") -> None:
        """Put a table into a file, where its library finds its parts, and take its rows."""
        with tempfile.TemporaryDirectory(prefix="penstock-table-") as name:
            path = Path(name) / "table"
            with path.open("wb") as file:
                for start in range(0, info.size, PART_BYTES):
                    await to_thread(file.write, await self._objects.read(info, start, PART_BYTES))
            rows = self._tables.rows(path, format)
            while not held.is_full and (batch := await to_thread(next, rows, None)):
                held.add(batch)

    async def _whole(self, place: Place) -> bytes:
        """Return a manifest."""
        info = await self._info(place)
        if info.size > MANIFEST_BYTES_MAX:
            raise ReadingFailed(f"The manifest {place.key} is larger than {MANIFEST_BYTES_MAX // 2**20} MiB.")
        return await self._objects.read(info, 0, info.size)

    async def _info(self, place: Place) -> ObjectInfo:
        info = await self._objects.about(place.bucket, place.key, place.version)
        if info is None:
            raise ReadingFailed("The specified key does not exist.", NO_KEY)
        return info


class ResultFiles:
    """Writes the results of Maps into objects, with a manifest: `s3:putObject`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def __call__(self, call: WriteCall, /) -> Json:
        return await self.write(Results(call.arguments, call.config, call.map_run, call.children))

    async def write(self, results: "Results") -> Json:
        """Write them. The same results have the same keys and content: writing them once more changes nothing."""
        fields = results.payload if isinstance(results.payload, dict) else {}
        bucket, prefix = fields.get("Bucket"), fields.get("Prefix", "")
        if not isinstance(bucket, str) or not isinstance(prefix, str):
            raise TaskFailed("", "The fields Bucket and Prefix of a ResultWriter must be texts.")
        config = results.config or WriterConfig(transformation="NONE")
        place = folder(prefix, results.map_run)
        written: list[tuple[str, str, int]] = []
        try:
            for file in files(results.children, results.map_run, config):
                key = place + file_name(file, config)
                await self._objects.put(bucket, key, file.body)
                written.append((file.kind, key, len(file.body)))
            # The manifest comes last: who finds it finds all that it names.
            await self._objects.put(bucket, place + MANIFEST, manifest(bucket, results.map_run, written))
        except Missing as error:
            raise TaskFailed(*_missing(error)) from error
        except PenstockError as error:
            raise TaskFailed("", str(error)) from error
        return returned(bucket, place + MANIFEST, results.map_run)


class Results(NamedTuple):
    """What is to be written: `payload` are the Parameters or Arguments of a ResultWriter."""

    payload: Json
    config: WriterConfig | None
    map_run: str
    children: Sequence[Child]


class _Held:
    """The items that were read so far, within the bounds of one Map."""

    def __init__(self, items_max: int) -> None:
        self.items: list[Json] = []
        self.items_max = items_max
        self.bytes = 0  # of text that became items

    @property
    def items_left(self) -> int:
        return self.items_max - len(self.items)

    @property
    def bytes_left(self) -> int:
        return HELD_BYTES_MAX - self.bytes

    @property
    def is_full(self) -> bool:
        return len(self.items) >= self.items_max

    def add(self, batch: Sequence[Json]) -> None:
        """Take items that were no text before: they are weighed as JSON."""
        self.take(batch, len(msgspec.json.encode(batch)))

    def take(self, batch: Sequence[Json], size: int) -> None:
        self.bytes += size
        if self.bytes > HELD_BYTES_MAX:
            raise ReadingFailed(f"The items are larger than {HELD_BYTES_MAX // 2**20} MiB together: set MaxItems.")
        self.items += batch


def _listed(info: ObjectInfo) -> Json:
    """Return an object of a listing as an item."""
    return {
        "Etag": info.etag,
        "Key": info.key,
        "LastModified": info.modified_ms // 1000,
        "Size": info.size,
        "StorageClass": info.storage_class,
    }


def _missing(error: Missing) -> tuple[str, str]:
    """Return error and cause of what is not there: a bucket, or else a library, whose hint is worth telling."""
    if error.what.startswith("the bucket"):
        return NO_BUCKET, "The specified bucket does not exist."
    return "", str(error)
