"""Servers that are not there, or something else: one error within seconds, with the setting and the address, from each command."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from app_over_broker import Ordered, Packed, shop
from postgres_server import postgres_server
from wrong_settings import http_server

from penstock import App
from penstock.adapters.clock.system import SystemClock
from penstock.brokers import behind, relayed
from penstock.cli.lags import lag_of
from penstock.errors import Invalid, PenstockError, Refused, Unavailable
from penstock.runtime.topology import Topology
from penstock.settings import Settings
from penstock.testing.conformance.course import conform
from penstock.testing.conformance.flink_course import conform_on_flink
from penstock.testing.conformance.plan import Plan
from penstock.wiring import opened_catalog

pytestmark = pytest.mark.timeout(120)
WITHIN_S = 40  # on a busy machine; 10 s on one that is not
BROKERS = {"kafka": "Kafka", "nats": "NATS", "redis": "Redis"}
STORES = {"redis://127.0.0.1:{}": "Redis", "postgresql://me:s3cret@127.0.0.1:{}/db": "Postgres"}


async def said(work, kind=PenstockError):
    with pytest.raises(kind) as refused:
        async with asyncio.timeout(WITHIN_S):
            await work
    assert "s3cret" not in str(refused.value)
    return str(refused.value)


async def runs(**settings):
    async with shop([]).running(**{"store": "memory:", **settings}):
        pass


async def looks(url):
    with opened_catalog(url) as catalog:
        await catalog.run("a")


@asynccontextmanager
async def page_server():
    """A server that answers whatever comes with a page, and no status, as servers of HTTP 0.9 do."""

    answering = set()

    async def answer(reader, writer):
        answering.add(asyncio.current_task())
        try:
            await reader.readline()
            writer.write(b"<!DOCTYPE html>\n")
        finally:
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.sleep(0.05)  # whoever was let in just now is answered too, or its socket would be left open
    for each in answering:
        each.cancel()
    await asyncio.gather(*answering, return_exceptions=True)


@pytest.mark.parametrize("scheme", BROKERS)
async def test_a_broker_that_is_not_there_is_named_with_its_setting(scheme):
    told = await said(runs(log=f"{scheme}://127.0.0.1:1"), Unavailable)
    assert f"{BROKERS[scheme]} at 127.0.0.1:1 (the setting `log`)" in told


@pytest.mark.parametrize("scheme", BROKERS)
async def test_how_much_waits_in_a_broker_that_is_not_there_is_said_with_its_setting(scheme):
    told = await said(behind(f"{scheme}://127.0.0.1:1", ["t"], {}), Unavailable)
    assert f"{BROKERS[scheme]} at 127.0.0.1:1 (the setting `log`)" in told


@pytest.mark.parametrize("scheme", BROKERS)
async def test_how_much_waits_where_something_else_listens_is_said_so(scheme):
    async with page_server() as port:
        assert f"no {BROKERS[scheme]}" in await said(behind(f"{scheme}://127.0.0.1:{port}", ["t"], {}))


async def test_a_relay_names_the_setting_of_a_kafka_that_is_not_there():
    app = App("relay")

    @app.agent
    async def pack(order: Ordered) -> Packed:
        return Packed(customer=order.customer, number=order.number)

    topology = Topology(app.declared.agents, app.declared.events)
    relaying = relayed("kafka://127.0.0.1:1", "relay", topology, SystemClock(), lambda: False)
    assert "Kafka at 127.0.0.1:1 (the setting `log`)" in await said(relaying, Unavailable)


@pytest.mark.parametrize("url", STORES)
async def test_a_store_that_is_not_there_is_named_with_its_setting(url):
    wanted = f"{STORES[url]} at 127.0.0.1:1 (the setting `store`)"
    assert wanted in await said(runs(store=url.format(1)), Unavailable)
    assert wanted in await said(lag_of(shop([]), Settings(store=url.format(1))), Unavailable)
    assert wanted in await said(looks(url.format(1)), Unavailable)


@pytest.mark.parametrize("url", STORES)
async def test_a_store_that_is_something_else_is_said_so(url):
    async with http_server() as port:
        assert f"no {STORES[url]}" in await said(runs(store=url.format(port)), Invalid)


async def test_vectors_that_are_something_else_are_said_with_the_setting():
    app = App("library")
    app.knowledge("books")

    async def run(url):
        async with app.running(store="memory:", vectors=url):
            pass

    async with http_server(ok=True) as port:
        told = await said(run(f"qdrant://127.0.0.1:{port}"), Refused)
    assert "(the setting `vectors`) is no Qdrant" in told


async def test_how_much_waits_is_not_counted_in_another_number_of_partitions(tmp_path):
    store = f"sqlite:{tmp_path}/shop.db"
    async with shop([]).running(store=store) as live:
        parts = live.engine.parts
        await parts.store.divide(live.engine.services.committer.claim, 4)
    told = await said(lag_of(shop([]), Settings(store=store, log="redis://127.0.0.1:1?partitions=8")), Invalid)
    assert "log: has 8 partitions, and the store is divided into 4 (add ?partitions=4)" in told


async def test_conformance_says_who_is_not_let_in_and_not_that_it_could_not_clean_up():
    with postgres_server() as server:
        store = server.dsn.replace("://postgres@", "://nobody:s3cret@")
        told = await said(conform(Settings(store=store), Plan(kills=1), step=lambda _: None, within_s=60), Refused)
    assert "check the user and the password in the setting `store`" in told


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (Settings(log="redis://127.0.0.1:1"), "Redis at 127.0.0.1:1 (the setting `log`)"),
        (Settings(store="postgresql://me:s3cret@127.0.0.1:1/db"), "Postgres at 127.0.0.1:1 (the setting `store`)"),
        (Settings(vectors="qdrant://127.0.0.1:1"), "(the setting `vectors`)"),
    ],
)
async def test_conformance_looks_at_the_servers_before_anything_else(settings, wanted):
    steps = []
    assert wanted in await said(conform(settings, Plan(kills=1), step=steps.append, within_s=60), Unavailable)
    assert steps == ["looking at the servers"]


async def test_conformance_says_what_is_wrong_and_not_what_went_wrong_when_it_cleaned_up():
    async with page_server() as port:
        conforming = conform(Settings(log=f"redis://127.0.0.1:{port}"), Plan(kills=1), step=lambda _: None, within_s=60)
        assert "no Redis" in await said(conforming, Invalid)


async def test_conformance_on_flink_names_the_setting_of_a_kafka_that_is_not_there():
    settings = Settings(log="kafka://127.0.0.1:1", host="flink")
    conforming = conform_on_flink(settings, Plan(kills=1), step=lambda _: None, within_s=60)
    assert "Kafka at 127.0.0.1:1 (the setting `log`)" in await said(conforming, Unavailable)
