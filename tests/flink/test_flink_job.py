"""The app's agents as a real job, between topics of a real Kafka: killed, restored, and equal to the local host. `make flink`."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from flink_job import Job
from flink_runs import by_key, orders
from job_topics import Topics
from msgspec import structs
from shop_on_flink import Ordered, app

from penstock import testing

APP = Path(__file__).with_name("shop_on_flink.py")
COUNT, KEYS, LATE = 5_000, 50, b"late"
pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        os.environ.get("PENSTOCK_FLINK") != "1", reason="NOT TESTED ON FLINK: it takes a minute, run `make flink`"
    ),
]


async def test_a_job_that_is_killed_loses_and_doubles_nothing_and_equals_the_local_host(flink, kafka, tmp_path):
    topics = Topics(kafka.hosts)
    job = Job(flink, APP, f"{kafka.address}?partitions=6", tmp_path, "--late-after-s", "60")
    figures: dict[str, float] = {"submitted_s": job.start()}
    try:
        topics.publish("ordered", orders(COUNT // 2, KEYS))
        dead, handled = COUNT // 100, COUNT - COUNT // 100
        before = topics.committed("counted", handled // 2, 90)
        too_early = _until_one_is_late(topics, dead // 2)
        topics.publish("ordered", orders(COUNT // 2, KEYS, first=COUNT // 2))
        job.kill()
        began_s = time.monotonic()
        figures["submitted_again_s"] = job.start()
        found = topics.committed("counted", handled + too_early, 90)
        figures["all_after_restart_s"] = time.monotonic() - began_s
        letters = topics.committed("shop-dead-letters", dead + 1, 30)
        more = len(topics.committed("counted", handled + too_early + 1, 3)) - handled - too_early
        found = [each for each in found if each.key != LATE]
        figures["resident_mb"] = job.resident_mb
        assert (len(found), len(letters), more) == (handled, dead + 1, 0)
        assert by_key("counted", found) == await _on_the_local_host()
        assert job.stop() == 0
        assert "goes on from" in job.said
        sys.stdout.write(json.dumps({"seen_before_the_kill": len(before), **figures}))
    finally:
        job.kill()
        topics.delete("ordered", "counted", "shop-dead-letters")


def _until_one_is_late(topics: Topics, dead: int) -> int:
    """Publish orders of long ago until one is too late, and return how many came before the job could tell.

    It cannot before the partitions in which nothing is, as those of marks, have been silent for a while.
    """
    for number in range(60):
        (order,) = orders(1, 1, first=COUNT + 100 * number)
        data = Ordered(customer=LATE.decode(), number=number).encoded()
        topics.publish("ordered", [structs.replace(order, key=LATE.decode(), data=data, time_ms=1)])
        letters = topics.committed("shop-dead-letters", dead + 1, 2)
        if len(letters) > dead:
            assert sum(b"it came too late" in dict(each.headers)["penstock-reason"] for each in letters) == 1
            return number
    raise AssertionError("none of them was too late")


async def _on_the_local_host() -> dict[str, list[tuple[str, dict[str, object]]]]:
    found: dict[str, list[tuple[str, dict[str, object]]]] = {}
    async with testing.app(app) as live:
        for event in orders(COUNT, KEYS):
            await live.engine.send(Ordered.decoded(event.data), id=event.id)
        await live.settled()
        for each in await live.engine.parts.store.read("counted", 0, after=0, limit=2 * COUNT):
            found.setdefault(each.event.key, []).append((each.event.id, json.loads(each.event.data)))
    return found
