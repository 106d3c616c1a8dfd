"""A step with effects waits, on Flink too, until what its run recorded before is in a checkpoint: by marks that come back."""

import pytest
from keyed_driver import Driver

from penstock import App, Context, Event
from penstock.core.events.messages import Message
from penstock.flink.keyed_state import Head, decoded, keyed_name
from penstock.flink.keyed_turns import SURE_MS
from penstock.flink.marks import HEADER, Mark, mark_in, marks_topic
from penstock.testing.fixtures import anyio_backend

__all__ = ["anyio_backend"]

A = keyed_name("default", "a")
MARKS = marks_topic("paying")


class Bought(Event, key="who", topic="bought"):
    who: str


class Paid(Event, key="who", topic="paid"):
    who: str


@pytest.fixture
def done() -> list[str]:
    """What was done outside."""
    return []


@pytest.fixture
def paying(done) -> App:
    paying = App("paying", events=[Paid])

    @paying.agent
    async def pay(bought: Bought, ctx: Context) -> Paid:
        for step in ("charge", "thank", "ship"):
            await ctx.step(step, done.append, step)
        return Paid(who=bought.who)

    return paying


def topics(driver):
    return [topic for topic, _ in driver.sent]


async def test_a_step_waits_for_the_mark_of_what_led_to_it_c7(paying, done):
    async with Driver(paying) as driver:
        await driver.bring(Bought(who="a"), "e1")
        assert (done, topics(driver)) == (["charge"], [MARKS])
        await driver.look(A)
        assert (done, topics(driver)) == (["charge"], [MARKS])  # looking does not help, and asks for no other one
        await driver.bring_back()
        assert (done, topics(driver)) == (["charge", "thank", "ship"], [MARKS, MARKS, "paid"])


async def test_what_was_marked_is_not_done_again_by_another_process_c4(paying, done):
    async with Driver(paying) as driver:
        await driver.bring(Bought(who="a"), "e1")
        checkpoint = dict(driver.kept)  # the one that the mark tells of
        await driver.bring_back()
        assert done == ["charge", "thank", "ship"]
        done.clear()
        driver.carried = 0
        await driver.restored(checkpoint)
        await driver.look(A, within_s=None)
        assert done == ["thank"]  # at once: all that led to it is in the checkpoint
        await driver.bring_back()
        assert (done, topics(driver)[-1]) == (["thank", "ship"], "paid")


async def test_the_mark_of_a_process_that_died_says_nothing_of_this_one(paying, done):
    async with Driver(paying) as driver:
        await driver.bring(Bought(who="a"), "e1")
        (old,) = driver.sent
        await driver.restored({})
        driver.carried = 0
        await driver.bring(Bought(who="a"), "e1")
        await driver.turns.marked(A, mark_in(dict(old[1].headers)), driver.kept[A])
        assert done == ["charge", "charge"]


async def test_a_mark_lets_nobody_go_on_who_recorded_more_since(paying, done):
    async with Driver(paying) as driver:
        await driver.bring(Bought(who="a"), "e1")
        mark = mark_in(dict(driver.sent[0][1].headers))
        await driver.bring_back()
        await driver.bring(Bought(who="a"), "e2")
        assert done[3:] == ["charge"]
        await driver.turns.marked(A, mark, driver.kept[A], within_s=0.01)
        assert done[3:] == ["charge"]


async def test_what_is_under_way_goes_on_though_its_timers_were_left_out_of_the_checkpoint_c1(paying, done):
    """Born from a job that was killed just after a checkpoint: some of its events were never looked at again."""
    async with Driver(paying) as driver:
        await driver.bring(Bought(who="a"), "e1")
        sent = list(driver.sent)
        await driver.restored(dict(driver.kept), timers=False)
        driver.sent, driver.carried = sent, 0
        await driver.bring_back()
        while driver.look_at_ms:
            await driver.clock.sleep(0.2)
            await driver.look()
            await driver.bring_back()
        assert (done, topics(driver)[-1]) == (["charge", "thank", "ship"], "paid")


async def test_while_anything_is_under_way_a_timer_that_a_mark_made_sure_is_ahead(paying):
    async with Driver(paying) as driver:
        await driver.bring(Bought(who="a"), "e1")
        for _ in range(300):
            await driver.clock.sleep(0.1)
            await driver.look()
            sure_ms, now_ms = decoded(driver.kept[A].head, Head).sure_ms, driver.clock.now_ms()
            assert now_ms < sure_ms <= now_ms + SURE_MS
            assert sure_ms in driver.looks_ms[A]
        assert (
            topics(driver) == [MARKS] * 6
        )  # of 30 s: the one that the step waits for among them, and each 5 s another one


async def test_a_timer_fires_though_it_was_left_out_of_the_checkpoint_c11():
    later = App("paying", events=[Paid])

    @later.agent
    async def wait(bought: Bought, ctx: Context) -> None:
        ctx.emit(Paid(who=bought.who), after_s=3600)

    async with Driver(later) as driver:
        await driver.bring(Bought(who="a"), "e1")
        assert topics(driver) == [MARKS]
        sent = list(driver.sent)
        for _ in range(2):  # and again, by a kill before the next checkpoint
            await driver.restored(dict(driver.kept), timers=False)
            driver.sent, driver.carried = sent, 0
            await driver.bring_back()
            sent = driver.sent[len(sent) - 1 :]
        await driver.clock.sleep(3600)
        await driver.look()
        assert topics(driver)[-1] == "paid"


@pytest.mark.parametrize("reads", [False, True])
async def test_a_step_alone_waits_for_nothing_and_one_after_a_read_for_that(done, reads):
    once = App("paying", events=[Paid])

    @once.agent
    async def pay(bought: Bought, ctx: Context) -> Paid:
        if reads:
            await ctx.read("price", int, "7")
        await ctx.step("charge", done.append, "charge")
        return Paid(who=bought.who)

    async with Driver(once) as driver:
        await driver.bring(Bought(who="a"), "e1")
        assert topics(driver) == ([MARKS] if reads else ["paid"])
        await driver.bring_back()
        assert (done, topics(driver)[-1]) == (["charge"], "paid")


async def test_where_steps_do_not_wait_all_is_done_at_once(paying, done):
    async with Driver(paying, steps_wait=False) as driver:
        await driver.bring(Bought(who="a"), "e1")
        assert (done, topics(driver)) == (["charge", "thank", "ship"], ["paid"])


def test_a_mark_is_read_as_it_was_written_and_what_is_none_is_of_no_process():
    mark = Mark("beef", 7)
    message = mark.message(A, 5)
    assert mark_in(dict(message.headers)) == mark
    assert message.key == A.encode()
    for value in (b"", b"beef", b"beef/x", b"\xff/"):
        assert mark_in({HEADER: value}) == Mark("", 0)
    assert mark_in(dict(Message(b"").headers)) == Mark("", 0)
