"""The servers of S0's own stack: Kafka carries the events, Milvus holds the vectors; the project's scripts start them."""

import sqlite3
from array import array
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline_beginning import scripts_of_servers

ROWS_MAX = 16_000


@contextmanager
def kafka_milvus(say: Callable[[str], object]) -> Generator[dict[str, str]]:
    """Start both, and yield the settings that name them, as variables of the environment."""
    with ExitStack() as servers:
        with scripts_of_servers("brokers", "milvus", "moto"):
            from kafka_server import required_kafka
            from milvus_server import required_milvus

            say("starting Kafka")
            kafka = servers.enter_context(required_kafka())
            say("starting Milvus")
            milvus = servers.enter_context(required_milvus())
        # One partition: then an offset is a moment of the whole library.
        yield {"PENSTOCK_LOG": f"{kafka.address}?partitions=1", "PENSTOCK_VECTORS": f"{milvus}?index=FLAT"}


def damage(service, ids: list[str]) -> int:
    """Remove a third of some passages' rows, change the text of a third, and turn the vectors of the others around."""
    vectors = service.stack.get("PENSTOCK_VECTORS", "")
    return _damage_milvus(vectors, ids) if vectors else _damage_file(service.store, ids)


def _damage_file(store: Path, ids: list[str]) -> int:
    with sqlite3.connect(store) as rows:
        for number, each in enumerate(ids):
            match number % 3:
                case 0:
                    rows.execute("DELETE FROM passage WHERE id = ?", (each,))
                case 1:
                    rows.execute("UPDATE passage SET text = 'something else' WHERE id = ?", (each,))
                case _:
                    rows.execute("UPDATE passage SET vector = ? WHERE id = ?", (_turned(rows, each), each))
    rows.close()
    return len(ids)


def _turned(rows: sqlite3.Connection, passage: str) -> bytes:
    vector = array("f", rows.execute("SELECT vector FROM passage WHERE id = ? LIMIT 1", (passage,)).fetchone()[0])
    return array("f", [-each for each in vector]).tobytes()


def _damage_milvus(url: str, ids: list[str]) -> int:
    from pymilvus import MilvusClient

    client, damaged = MilvusClient(uri=url.partition("?")[0].replace("milvus://", "http://")), 0
    try:
        rows = _rows_of_newest(client, set(ids))
        for number, (collection, row) in enumerate(rows):
            match number % 3:
                case 0:
                    client.delete(collection, ids=[row["key"]])
                case 1:
                    client.upsert(collection, [{**row, "text": "something else"}])
                case _:
                    client.upsert(collection, [{**row, "vector": [-float(each) for each in row["vector"]]}])
            damaged += 1
    finally:
        client.close()
    return damaged


def _rows_of_newest(client, ids: set[str]) -> list[tuple[str, dict]]:
    """Return the rows of these passages in the newest generation that has them, each with its collection."""
    by_generation = sorted(client.list_collections(), key=lambda name: -int(name.split("__g")[1].split("__")[0]))
    for collection in by_generation:
        client.load_collection(collection)
        known = client.query(collection, filter='key != ""', output_fields=["key", "id"], limit=ROWS_MAX)
        keys = sorted(row["key"] for row in known if row.get("id") in ids)
        if keys:
            found = client.get(collection, keys)
            return [(collection, {name: row[name] for name in row if not name.startswith("$")}) for row in found]
    return []
