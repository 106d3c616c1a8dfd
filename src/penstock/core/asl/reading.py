"""What a distributed Map reads, as items: whole objects, and the manifests that name others.

`core/asl/records.py` reads an object part by part. Every failure is `ReadingFailed`, whose text is the cause of
States.ItemReaderFailed.
"""

import csv
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct

from penstock.core.asl.definition import ReaderConfig
from penstock.core.asl.records import ITEMS_MAX, Intake, ReadingFailed
from penstock.core.asl.values import Json, parsed_json

LIST_OBJECTS: Final = ":s3:listObjectsV2"
TABLES: Final = ("PARQUET", "ORC")  # formats for which a library is needed
FLATTEN: Final = "LOAD_AND_FLATTEN"
_ARN: Final = "arn:aws:s3:::"
_URL: Final = "s3://"
_INVENTORY_FORMATS: Final = {"CSV": "CSV", "PARQUET": "PARQUET", "ORC": "ORC"}


class Place(Struct, frozen=True):
    """One object of a store; `version` None is the latest."""

    bucket: str
    key: str
    version: str | None = None


class Inventory(Struct, frozen=True):
    """What a manifest of S3 Inventory names: data files of one format, and the names of their columns."""

    places: tuple[Place, ...]
    format: str
    columns: tuple[str, ...]


def read_items_from(body: bytes, config: ReaderConfig, items_max: int | None = None) -> Json:
    """Return the items in an object, at most `items_max` of them (0 and None: all)."""
    intake = Intake(config, items_max or ITEMS_MAX)
    intake.feed(body)
    return list(intake.end())


def asked_place(payload: Json) -> Place:
    """Return the object that the Parameters or Arguments of a reader name."""
    fields = _fields(payload)
    return Place(_text(fields, "Bucket"), _text(fields, "Key"), cast("str | None", fields.get("VersionId")))


def asked_prefix(payload: Json) -> Place:
    """Return the bucket of a listing, and the prefix of the keys in it."""
    fields = _fields(payload)
    return Place(_text(fields, "Bucket"), _text(fields, "Prefix", ""))


def inventory(body: bytes, bucket: str) -> Inventory:
    """Read the `manifest.json` of S3 Inventory. Its data files lie in the bucket that it names, or where it lies itself."""
    manifest = cast("Any", _json(body))
    try:
        wanted = _INVENTORY_FORMATS[str(manifest["fileFormat"]).upper()]
        names = [str(each["key"]) for each in manifest["files"]]
        schema = str(manifest["fileSchema"])
        named = str(manifest.get("destinationBucket") or bucket).removeprefix(_ARN)
    except (KeyError, TypeError, AttributeError) as error:
        raise ReadingFailed(f"The manifest is none of S3 Inventory: {error!r} is missing or wrong.") from error
    columns = tuple(each.strip() for each in schema.split(",")) if wanted == "CSV" else ()
    return Inventory(tuple(Place(named, key) for key in names), wanted, columns)


def inventory_rows(of: Inventory) -> ReaderConfig:
    """Return how the data files of an inventory in CSV are read: they have no header, and their keys are percent-encoded."""
    return ReaderConfig(input_type="CSV", csv_header_location="GIVEN", csv_headers=of.columns)


def athena_places(body: bytes) -> Sequence[Place]:
    """Read the manifest that Athena's UNLOAD and CTAS write: a URL such as s3://BUCKET/KEY on each line."""
    try:
        lines = [row[0].strip() for row in csv.reader(body.decode("utf-8-sig").splitlines()) if row and row[0].strip()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReadingFailed(f"The manifest is none of Athena: {error}") from error
    places: list[Place] = []
    for line in lines:
        bucket, _, key = line.removeprefix(_URL).partition("/")
        if not line.startswith(_URL) or not bucket or not key:
            raise ReadingFailed(f"The manifest is none of Athena: {line[:80]!r} is no URL such as s3://BUCKET/KEY.")
        places.append(Place(bucket, key))
    return places


def _json(body: bytes) -> Json:
    try:
        return parsed_json(body.decode("utf-8-sig"))
    except ValueError as error:
        raise ReadingFailed(f"The manifest is not JSON: {error}") from error


def _fields(payload: Json) -> Mapping[str, Json]:
    if not isinstance(payload, dict):
        raise ReadingFailed("The Parameters or Arguments of an ItemReader must be an object.")
    return payload


def _text(fields: Mapping[str, Json], name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        given = "is missing" if value is None else f"is {value!r}"
        raise ReadingFailed(f"The field {name} of an ItemReader must be a text: it {given}.")
    return value
