"""What waits in a broker is a metric of the worker that is to receive it; a broker that is away is one too, and hides nothing else."""

import pytest
from redis_server import DURABLE, own_redis

from penstock import App, Event
from penstock.runtime.measuring import measured

pytestmark = pytest.mark.timeout(90)


class Order(Event, key="customer", topic="orders"):
    customer: str


async def figures(live):
    families = {each.name: each for each in await measured(live.engine)}
    return {name: [sample.value for sample in each.samples] for name, each in families.items()}


async def test_what_waits_in_a_broker_is_a_metric_as_long_as_it_answers(tmp_path):
    app, handled = App("shop"), []

    @app.agent
    async def take(order: Order) -> None:
        handled.append(order.customer)

    with own_redis(*DURABLE) as redis:
        log = f"{redis.address}?partitions=2"
        async with app.running(store=f"sqlite:{tmp_path / 'shop.db'}", log=log) as live:
            await live.engine.send_many([Order(customer=f"c{number}") for number in range(20)])
            await live.engine.until(lambda: len(handled) == 20)
            found = await figures(live)
            assert found["penstock_broker_up"] == [1]
            assert len(found["penstock_broker_lag_events"]) == 2
            behind = await live.engine.parts.behind()
            assert set(behind) == {("orders", 0), ("orders", 1)}
            redis.process.kill()
            found = await figures(live)
            assert found["penstock_broker_up"] == [0]
            assert not found["penstock_broker_lag_events"]
            assert found["penstock_up"] == [1]
            redis.process.start()
