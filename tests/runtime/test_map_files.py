"""What distributed Maps read from objects and write to them, through the whole of a machine."""

import gzip
import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import orc as arrow_orc
from pyarrow import parquet as arrow_parquet

from penstock.adapters.memory.objects import MemoryObjects
from penstock.adapters.tables.arrow import ArrowTables
from penstock.core.asl.definition import ReaderConfig, WriterConfig, from_document
from penstock.core.asl.happenings import Started
from penstock.core.asl.program import compiled
from penstock.core.asl.results import Child, files
from penstock.runtime.machine_tasks import TaskFailed
from penstock.runtime.map_files import ItemFiles
from penstock.testing.asl_functions import FunctionWorld, TaskError
from penstock.testing.jumping_world import BEGIN_MS

GET = "arn:aws:states:::s3:getObject"
LIST = "arn:aws:states:::s3:listObjectsV2"
PUT = "arn:aws:states:::s3:putObject"
SETTINGS = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


def machine(process=None, **fields):
    process = process or {"Type": "Pass"}
    processor = {**SETTINGS, "StartAt": "One", "States": {"One": {**process, "End": True}}}
    return {"StartAt": "All", "States": {"All": {"Type": "Map", "ItemProcessor": processor, **fields, "End": True}}}


def ran(document, objects, given=None, **functions):
    world = FunctionWorld(functions, objects)
    return world.run(compiled(from_document(document)), Started(at_ms=BEGIN_MS, input=given, name="r", machine="m"))


def reader(config, resource=GET, **place):
    return {"Resource": resource, "ReaderConfig": config, "Parameters": {"Bucket": "b", **place}}


async def read(objects, config, payload=None, resource=GET, items_max=None):
    return await ItemFiles(objects, ArrowTables()).read(
        resource, payload or {"Bucket": "b", "Key": "k"}, config, items_max
    )


def parquet(rows):
    sink = pa.BufferOutputStream()
    arrow_parquet.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def orc(rows):
    sink = pa.BufferOutputStream()
    arrow_orc.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def test_a_machine_maps_over_a_packed_csv():
    body = gzip.compress(b"id,name\n" + b"".join(b"%d,name %d\n" % (n, n) for n in range(500)), mtime=0)
    config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItems": 300}
    run = ran(machine(ItemReader=reader(config, Key="k")), MemoryObjects({("b", "k"): body}))
    assert (run.status, len(run.result), run.result[299]) == ("SUCCEEDED", 300, {"id": "299", "name": "name 299"})


@pytest.mark.parametrize(("format", "packed"), [("PARQUET", parquet), ("ORC", orc)])
async def test_a_table_is_read_into_what_json_can_hold(format, packed):
    rows = [
        {"n": n, "x": n / 2, "when": datetime(2026, 1, 2, tzinfo=UTC), "tags": ["a", str(n)], "deep": {"y": "z"}}
        for n in range(2500)
    ]
    items = await read(MemoryObjects({("b", "k"): packed(rows)}), ReaderConfig(input_type=format), items_max=2400)
    assert len(items) == 2400
    assert items[3] == {"n": 3, "x": 1.5, "when": "2026-01-02T00:00:00Z", "tags": ["a", "3"], "deep": {"y": "z"}}


async def test_a_listing_gives_what_is_known_of_each_object():
    objects = MemoryObjects({("b", f"in/{n:04}"): b"x" * n for n in range(1500)}, now_ms=1_668_699_881_000)
    objects.bodies["b", "other"] = b""
    items = await read(objects, ReaderConfig(), {"Bucket": "b", "Prefix": "in/"}, LIST)
    assert len(items) == 1500
    assert items[2].pop("Etag").startswith('"')
    assert items[2] == {"Key": "in/0002", "LastModified": 1668699881, "Size": 2, "StorageClass": "STANDARD"}
    assert len(await read(objects, ReaderConfig(), {"Bucket": "b"}, LIST, items_max=1001)) == 1001


async def test_the_items_in_all_objects_of_a_listing_are_flattened():
    objects = MemoryObjects(
        {("b", "in/1"): b"[1, 2]", ("b", "in/2"): b"[]", ("b", "in/3"): b"[3, 4]", ("b", "in/"): b""}
    )
    config = ReaderConfig(input_type="JSON", transformation="LOAD_AND_FLATTEN")
    assert await read(objects, config, {"Bucket": "b", "Prefix": "in/"}, LIST) == [1, 2, 3, 4]
    assert await read(objects, config, {"Bucket": "b", "Prefix": "in/"}, LIST, items_max=3) == [1, 2, 3]


@pytest.mark.parametrize(("format", "packed"), [("CSV", None), ("Parquet", parquet), ("ORC", orc)])
async def test_an_inventory_is_read_through_its_manifest(format, packed):
    row = {"Bucket": "src", "Key": "a.txt", "Size": "12"}
    body = gzip.compress(b'"src","a.txt","12"\n', mtime=0) if packed is None else packed([row])
    told = {"fileFormat": format, "fileSchema": "Bucket, Key, Size", "files": [{"key": "d/1"}, {"key": "d/2"}]}
    told["destinationBucket"] = "arn:aws:s3:::inv"
    objects = MemoryObjects({("b", "k"): json.dumps(told).encode(), ("inv", "d/1"): body, ("inv", "d/2"): body})
    config = ReaderConfig(input_type="MANIFEST", manifest_type="S3_INVENTORY")
    assert await read(objects, config) == [row, row]
    assert await read(objects, ReaderConfig(input_type="MANIFEST"), items_max=1) == [row]


async def test_what_athena_has_unloaded_is_read_through_its_manifest():
    objects = MemoryObjects(
        {
            ("b", "k"): b"s3://out/1\ns3://out/2\n",
            ("out", "1"): gzip.compress(b'{"n": 1}\n', mtime=0),
            ("out", "2"): b'{"n": 2}\n',
        }
    )
    assert await read(objects, ReaderConfig(input_type="JSONL", manifest_type="ATHENA_DATA")) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("payload", "error", "cause"),
    [
        ({"Bucket": "b", "Key": "none"}, "S3.NoSuchKeyException", "The specified key does not exist."),
        ({"Bucket": "none", "Key": "k"}, "S3.NoSuchBucketException", "The specified bucket does not exist."),
        ({"Bucket": "b"}, "", "The field Key of an ItemReader must be a text: it is missing."),
        ({"Bucket": 1, "Key": "k"}, "", "The field Bucket of an ItemReader must be a text: it is 1."),
    ],
)
async def test_what_is_not_there_fails_the_reading(payload, error, cause):
    with pytest.raises(TaskFailed) as failed:
        await read(MemoryObjects({("b", "k"): b"[]"}), ReaderConfig(), payload)
    assert (failed.value.error, failed.value.cause) == (error, cause)


def test_a_negative_number_of_items_fails_the_map_run():
    document = machine(ItemReader=reader({"InputType": "JSON", "MaxItemsPath": "$.n"}, Key="k"))
    run = ran(document, MemoryObjects({("b", "k"): b"[1]"}), {"n": -1})
    assert (run.failure.error, run.failure.cause) == ("States.ItemReaderFailed", "field MaxItems must be positive")
    assert [each.type for each in run.history.events][-4:] == [
        "MapRunStarted",
        "MapRunFailed",
        "MapStateFailed",
        "ExecutionFailed",
    ]


def written(objects, name):
    return next(body for (_, key), body in objects.bodies.items() if key.endswith(name))


def fails_for_two(event):
    if event == 2:
        raise TaskError("Two", "is too much")
    return [event, event]


WORK = {"Type": "Task", "Resource": "agent:work"}
WRITER = {"Resource": PUT, "Parameters": {"Bucket": "out", "Prefix": "results"}}


def test_results_are_written_with_a_manifest_of_files_by_kind():
    objects = MemoryObjects()
    document = machine(WORK, ResultWriter=WRITER, ToleratedFailureCount=1, Label="Each")
    run = ran(document, objects, [1, 2, 3], work=fails_for_two)
    details = run.result["ResultWriterDetails"]
    manifest = json.loads(objects.bodies[details["Bucket"], details["Key"]])
    assert manifest["MapRunArn"] == run.result["MapRunArn"]
    assert [len(manifest["ResultFiles"][kind]) for kind in ("SUCCEEDED", "FAILED", "PENDING")] == [1, 1, 0]
    first, third = json.loads(objects.bodies["out", manifest["ResultFiles"]["SUCCEEDED"][0]["Key"]])
    assert (first["Input"], first["Output"], third["Input"]) == ("1", "[1,1]", "3")
    assert first["ExecutionArn"].endswith(f"execution:m/Each:{first['Name']}")
    assert first["StartDate"] <= first["StopDate"]
    (failed,) = json.loads(written(objects, "FAILED_0.json"))
    assert (failed["Status"], failed["Error"], failed["Cause"]) == ("FAILED", "Two", "is too much")
    assert "Output" not in failed


def test_a_map_that_fails_writes_its_results_all_the_same():
    objects = MemoryObjects()
    run = ran(machine(WORK, ResultWriter=WRITER, MaxConcurrency=1), objects, [1, 2, 3, 4], work=fails_for_two)
    assert run.failure.error == "States.ExceedToleratedFailureThreshold"
    assert [each["Input"] for each in json.loads(written(objects, "PENDING_0.json"))] == ["3", "4"]
    assert len(json.loads(written(objects, "FAILED_0.json"))) == 1


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        ({"Transformation": "COMPACT"}, "SUCCEEDED_0.json", b"[[1,1],[3,3]]"),
        ({"Transformation": "FLATTEN", "OutputType": "JSON"}, "SUCCEEDED_0.json", b"[1,1,3,3]"),
        ({"Transformation": "FLATTEN", "OutputType": "JSONL"}, "SUCCEEDED_0.jsonl", b"1\n1\n3\n3\n"),
    ],
)
def test_results_have_the_form_that_a_writer_config_says(config, name, expected):
    objects = MemoryObjects()
    ran(machine(WORK, ResultWriter={**WRITER, "WriterConfig": config}), objects, [1, 3], work=fails_for_two)
    assert written(objects, name) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [({"Transformation": "COMPACT"}, [[1, 1], [3, 3]]), ({"Transformation": "FLATTEN"}, [1, 1, 3, 3])],
)
def test_a_writer_config_alone_forms_the_output(config, expected):
    document = machine(WORK, ResultWriter={"WriterConfig": config})
    assert ran(document, None, [1, 3], work=fails_for_two).result == expected


def test_a_writer_config_without_transformation_keeps_all_that_is_known():
    document = machine(WORK, ResultWriter={"WriterConfig": {"Transformation": "NONE"}}, ToleratedFailureCount=1)
    first, second = ran(document, None, [1, 2], work=fails_for_two).result
    assert (first["Status"], first["Output"], second["Status"]) == ("SUCCEEDED", "[1,1]", "FAILED")


def test_where_results_cannot_be_written_the_map_fails():
    document = machine(ResultWriter=WRITER, Catch=[{"ErrorEquals": ["States.ResultWriterFailed"], "Next": "C"}])
    document["States"]["C"] = {"Type": "Pass", "End": True}
    run = ran(document, MemoryObjects(makes_buckets=False), [1])
    assert run.result == {"Error": "States.ResultWriterFailed", "Cause": "The specified bucket does not exist."}
    assert "MapRunSucceeded" not in [each.type for each in run.history.events]


def test_many_results_are_cut_into_several_files():
    children = [Child(name=str(n), input=n, output="x" * 100, status="SUCCEEDED") for n in range(10)]
    cut = list(files(children, "a:b:mapRun:m/L:u", WriterConfig(transformation="COMPACT"), bytes_max=300))
    assert [(each.kind, each.number) for each in cut] == [("SUCCEEDED", number) for number in range(4)]
    assert sum(len(json.loads(each.body)) for each in cut) == 10


@pytest.mark.parametrize(("count", "percent", "status"), [(1, 10, "FAILED"), (0, 100, "FAILED"), (2, 50, "SUCCEEDED")])
def test_of_two_bounds_of_failures_neither_may_be_exceeded(count, percent, status):
    document = machine(WORK, ToleratedFailureCount=count, ToleratedFailurePercentage=percent)
    assert ran(document, None, [1, 2, 3], work=fails_for_two).status == status
