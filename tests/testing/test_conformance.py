"""The conformance test finds what is broken, works at places of its own, and removes them. Whole, it is `make conformance`."""

import json
from pathlib import Path

import pytest

from penstock.agent_hosts import code_of, version_of_penstock
from penstock.app_files import load
from penstock.brokers import remove_topics
from penstock.cli import app as command
from penstock.core.hosting.app_places import AppPlace, encode_place
from penstock.errors import Invalid
from penstock.hosts.serving import serving
from penstock.settings import Settings
from penstock.testing.conformance.counting import Kept, looked_at
from penstock.testing.conformance.depot import Poison, Shipped, depot
from penstock.testing.conformance.outcomes import digest_of
from penstock.testing.conformance.own_file import depot_of
from penstock.testing.conformance.places import places
from penstock.testing.conformance.plan import order_id, order_of
from penstock.testing.conformance.report import Report
from penstock.testing.outside import Outside


@pytest.fixture
async def where(tmp_path):
    async with places(Settings(store=f"sqlite:{tmp_path / 'mine.db'}")) as where:
        yield where


async def one_order(where):
    app = depot(Outside(where.folder, 1), where.folder)
    async with app.running(where.depot) as live:
        await live.ask(order_of(0), Shipped, id=order_id("red", 0), tenant="red")


async def test_what_was_told_and_is_not_on_the_disk_is_lost(where):
    await one_order(where)
    kept = Kept(told={("told", order_id("red", 0), "1"), ("sent", order_id("red", 1), "-")})
    await looked_at(where, kept, 1)
    assert (kept.lost, kept.early) == ({order_id("red", 1)}, set())
    assert (f"{order_id('red', 0)}:charge", "charge#0") in kept.recorded


async def test_an_effect_without_its_cause_on_the_disk_came_too_early(where):
    await one_order(where)
    Outside(where.folder, 2).executing("order-red-7:charge", "charge#0")
    kept = Kept()
    await looked_at(where, kept, 2)
    assert kept.early == {"order-red-7:charge"}


async def test_an_answer_that_is_not_on_the_disk_came_too_early(where):
    app = depot(Outside(where.folder, 1), where.folder)
    async with app.running(where.depot) as live:
        await live.send(Poison(customer="nobody"), id="trip-9")  # an event that no answer follows from
    kept = Kept(told={("told", "trip-9", "1")})
    await looked_at(where, kept, 1)
    assert kept.early == {"trip-9"}


async def test_places_are_its_own_and_are_removed(tmp_path):
    mine = tmp_path / "mine.db"
    mine.touch()
    async with places(Settings(store=f"sqlite:{mine}", log="kafka://127.0.0.1:1"), keep=True) as kept:
        assert "prefix=conformance_" in kept.depot.log
        assert kept.depot.store != kept.library.store
    async with places(Settings(store=f"sqlite:{mine}")) as where:
        await one_order(where)
        assert len(list(tmp_path.iterdir())) > 1
    assert list(tmp_path.iterdir()) == [mine]
    assert not where.folder.exists()


async def test_topics_of_others_are_never_removed():
    with pytest.raises(Invalid, match="prefix"):
        await remove_topics("kafka://127.0.0.1:1")


async def test_workers_of_a_host_execute_the_same_app_from_a_file_of_its_own(tmp_path):
    app = depot_of(tmp_path, 3)
    place = AppPlace(app.name, app.source, code_of(app.declared), version_of_penstock())
    async with serving(encode_place(place)):  # refuses one with other code
        assert load(Path(app.source)).agents.keys() == app.agents.keys()
    assert Path(app.source).parent == tmp_path


def test_a_row_says_why_it_does_not_hold_or_is_not_there():
    report = Report({})
    for row in report.rows.values():
        row.tried = "yes"
    report["C5"].limit = "start one"
    report["C8"].absent = "run it elsewhere"
    assert (report["C5"].result, report["C8"].result) == ("does not hold", "is not there")
    assert (report.holds, report.is_as_said) == (False, True)
    report["C5"].expect(False, "it came twice")
    assert (report["C5"].result, report.is_as_said) == ("broken", False)


def test_an_outcome_is_equal_where_its_parts_are():
    assert digest_of([["order-1", "2"]], {"b": [1], "a": []}) == digest_of([["order-1", "2"]], {"a": [], "b": [1]})
    assert digest_of([["order-1", "2"]], {}) != digest_of([["order-1", "3"]], {})


def test_a_row_holds_when_it_was_tried_and_nothing_was_found():
    report = Report({})
    assert {row.result for row in report.rows.values()} == {"not tried"}
    for row in report.rows.values():
        row.tried = "yes"
    assert report.holds
    report["C4"].expect(False, "a step was executed twice")
    assert (report["C4"].result, report.holds) == ("broken", False)
    assert json.dumps(report.plain())


@pytest.mark.parametrize(
    ("flags", "finding"),
    [
        (["--store", "memory:"], "outlives"),
        (["--store", "sqlite:a.db", "--state", "sqlite:b.db"], "differs"),
        (["--host", "mainframe://"], "host"),
        (["--host", "ray://127.0.0.1:9"], "ray"),
        (["--host", "flink"], "kafka://HOST:PORT"),
        (["--host", "flink", "--log", "kafka://127.0.0.1:1", "--store", "sqlite:a.db"], "--store"),
    ],
)
def test_what_cannot_be_tried_is_said(flags, finding, capsys):
    with pytest.raises(SystemExit) as ended:
        command(["conformance", *flags])
    assert ended.value.code == 2
    assert finding in capsys.readouterr().err
