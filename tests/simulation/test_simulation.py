"""C1 to C7 under losses, crashes, rivals and bad luck, for many seeds. A failure is a seed:

PENSTOCK_SEED=1234 python -m pytest tests/simulation
"""

import asyncio
import os
from contextlib import suppress
from random import Random

import pytest
from world import KEYS, POISON, Chances, Order, Trip, World, live

from penstock.testing.virtual_time import run_virtually

ONE = os.environ.get("PENSTOCK_SEED")
SEEDS = [int(ONE)] if ONE else range(int(os.environ.get("PENSTOCK_SEEDS", "300")))


def orders_of(random: Random, chances: Chances) -> list[Order]:
    return [
        Order(
            customer=f"c{random.randrange(KEYS)}",
            number=number,
            text=POISON if random.random() < chances.poison else "please",
        )
        for number in range(chances.orders)
    ]


def trips_of(random: Random, chances: Chances) -> list[Trip]:
    return [Trip(customer=f"c{random.randrange(KEYS)}", number=number) for number in range(chances.trips)]


async def simulated(seed: int) -> tuple[World, list[Order], list[Trip]]:
    random = Random(seed)
    chances = Chances.of(random)
    world = World(random, chances)
    orders = orders_of(random, chances)
    trips = trips_of(random, chances)
    for number in range(chances.lives):
        lives = [asyncio.ensure_future(live(world, orders, trips, f"w{number}a"))]
        if chances.rivals:
            await asyncio.sleep(random.random() * chances.life_s)
            lives.append(asyncio.ensure_future(live(world, orders, trips, f"w{number}b")))
        await asyncio.sleep(random.random() * chances.life_s * 2)
        for each in lives:
            each.cancel()  # a kill: nothing is written any more
            with suppress(asyncio.CancelledError):
                await each
    world.healthy = True
    await live(world, orders, trips, "healed")
    return world, orders, trips


@pytest.mark.parametrize("seed", SEEDS, ids="seed-{}".format)
def test_every_guarantee_holds(seed: int) -> None:
    world, orders, trips = run_virtually(simulated(seed))
    disk = world.disk
    assert not world.faults
    good = {order.number for order in orders if order.text != POISON}
    given_up = {each.event.event.correlation_id for each in disk.dead.values() if each.agent in ("split", "join")}

    # C6: every order was answered, or lies in the dead letters with a reason; the poisonous ones all do.
    answered = {each.event.correlation_id for each in disk.ids.values() if each.event.type == "Done.v1"}
    assert answered | given_up == {f"order-{order.number}" for order in orders}
    assert {f"order-{number}" for number in good} - given_up <= answered
    assert all(letter.reason for letter in disk.dead.values())
    assert not (given_up & answered)

    # C3: what was committed is whole: one answer per order, all pieces of it, each piece once.
    for number in good:
        ids = [each.event for each in disk.ids.values() if each.event.correlation_id == f"order-{number}"]
        if f"order-{number}" not in given_up:
            assert sum(event.type == "Part.v1" for event in ids) == 1 + number % 3
        assert sum(event.type == "Done.v1" for event in ids) <= 1

    # Every agent is done with everything.
    for (agent, topic, _), progress in disk.progress.items():
        assert progress.low == len(disk.logs[topic]), f"{agent} is at {progress} of {len(disk.logs[topic])}"
    assert {agent for agent, _, _ in disk.progress} >= {"split"}

    # C2: the values of each customer tell the pieces in the order of the log.
    for customer in range(KEYS):
        stored = disk.values.get(("default", "join", f"c{customer}"), {})
        if "order" in stored:
            import msgspec

            told = msgspec.msgpack.decode(stored["order"])
            buried = {letter.event.event.id for letter in disk.dead.values() if letter.agent == "join"}
            log = [
                msgspec.json.decode(each.event.data)
                for each in disk.logs["part"]
                if each.event.key == f"c{customer}" and each.event.id not in buried
            ]
            assert told == [part["number"] * 10 + part["piece"] for part in log]

    # Workflows: every trip arrived, once, with all its legs, whatever died on the way.
    for trip in trips:
        events = [each.event for each in disk.ids.values() if each.event.correlation_id == f"trip-{trip.number}"]
        assert sum(event.type == "Arrived.v1" for event in events) == 1
        assert sum(event.type == "Leg.v1" for event in events) == 1 + trip.number % 3
        assert world.arrived[trip.number] == 1 + trip.number % 3 if trip.number in world.arrived else True
        assert disk.runs[f"trip-{trip.number}:travel"].status == "succeeded"

    # C4: an effect happened more than once only where a process died or lost its claim in the middle.
    if world.chances.lives == 0:
        assert set(world.effects.values()) <= {1}
