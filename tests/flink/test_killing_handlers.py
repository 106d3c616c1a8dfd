"""A handler that kills its process is found, alone, and given up: on Flink too, where the state says nothing of it."""

import asyncio

import pytest
from keyed_driver import Driver

from penstock import App, Context, Event
from penstock.flink.begun import ALONE_FROM, DEATHS_MAX, Begun, path_of
from penstock.testing.fixtures import anyio_backend

__all__ = ["anyio_backend"]


class Job(Event, key="who", topic="jobs"):
    who: str


class Done(Event, key="who", topic="done"):
    who: str


@pytest.fixture
def world():
    """Who is being handled now, and with whom somebody was."""
    return {"now": set(), "beside": []}


@pytest.fixture
def working(world) -> App:
    working = App("working", events=[Done])

    @working.agent
    async def work(job: Job, ctx: Context) -> Done:
        world["now"].add(job.who)
        world["beside"].append((job.who, frozenset(world["now"] - {job.who})))
        try:
            await asyncio.sleep(1 if job.who != "killer" else 0.5)
            if job.who == "killer":
                world["killed"].set()
                await asyncio.sleep(1000)
        finally:
            world["now"].discard(job.who)
        return Done(who=job.who)

    return working


async def lives(working, world, path, events, lives_max=10):
    """Bring events again and again, as a source does whose job died, until none kills; return what was sent, and the lives."""
    for life in range(1, lives_max + 1):
        world["killed"] = asyncio.Event()
        async with Driver(working, begun=Begun(path)) as driver:
            for name in events:
                await driver.bring(Job(who=name), f"job-{name}", within_s=0.0)

            async def all_done(driver=driver):
                while driver.turns.under_way:
                    await asyncio.sleep(0.1)
                    for name in driver.kept:
                        await driver.look(name)

            working_on = asyncio.ensure_future(all_done())
            killed = asyncio.ensure_future(world["killed"].wait())
            await asyncio.wait({working_on, killed}, return_when=asyncio.FIRST_COMPLETED)
            was_killed = killed.done()
            for each in (working_on, killed):
                each.cancel()
            await asyncio.gather(working_on, killed, return_exceptions=True)
            if not was_killed:
                return driver.sent, life
    raise AssertionError("it kills for ever")


async def test_one_that_kills_is_given_up_alone_and_the_others_are_handled_c6(working, world, tmp_path):
    sent, life = await lives(working, world, tmp_path / "0", ["a", "b", "killer", "c", "d"])
    dead = [message for topic, message in sent if topic == "working-dead-letters"]
    assert [dict(each.headers)["penstock-agent"] for each in dead] == [b"work"]
    assert b"killed the process 3 times" in dict(dead[0].headers)["penstock-reason"]
    assert sorted(dict(message.headers)["ce_subject"] for topic, message in sent if topic == "done") == [
        b"a",
        b"b",
        b"c",
        b"d",
    ]
    assert life == DEATHS_MAX + 1
    with_killer = [beside for who, beside in world["beside"] if who == "killer"]
    assert all(with_killer[:ALONE_FROM])
    assert with_killer[ALONE_FROM:] == [frozenset()] * (DEATHS_MAX - ALONE_FROM)


def test_what_was_under_way_when_a_process_died_is_counted_and_what_ended_is_not(tmp_path):
    first = Begun(tmp_path / "0")
    for each in ("a", "b", "c"):
        first.begin(each)
    first.end("b")
    second = Begun(tmp_path / "0")
    assert [second.deaths(each) for each in ("a", "b", "c")] == [1, 0, 1]
    second.begin("a")
    second.end("c")
    third = Begun(tmp_path / "0")
    assert [third.deaths(each) for each in ("a", "b", "c")] == [2, 0, 0]
    third.begin("a")
    third.close()  # as it should: it was not to blame this time
    assert Begun(tmp_path / "0").deaths("a") == 2


def test_the_file_is_written_anew_before_it_grows_large(tmp_path):
    begun = Begun(tmp_path / "0", lines_max=10)
    for number in range(100):
        begun.begin(f"e{number}")
        begun.end(f"e{number}")
    begun.begin("last")
    assert len((tmp_path / "0").read_text().splitlines()) <= 11
    assert Begun(tmp_path / "0").deaths("last") == 1


def test_without_a_file_nobody_is_suspected():
    begun = Begun()
    begun.begin("a")
    assert begun.deaths("a") == 0
    begun.end("a")
    begun.close()


def test_the_folder_is_ours_alone(tmp_path):
    path = path_of("group", 3, within=tmp_path)
    assert path is not None
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path != path_of("other", 3, within=tmp_path)
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path)
    assert path_of("group", 3, within=tmp_path) is None
