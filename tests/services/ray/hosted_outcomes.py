"""What an app came to: the same story told to the app on any host, and what of it must be equal."""

import asyncio
from typing import Any

from hosted_app import Asked, Many, Noted, Poisoned, Priced, Slow, Tardy

from penstock import Passage
from penstock.app import Running
from penstock.errors import RunFailed


async def story(live: Running, log: str) -> dict[str, Any]:
    """Have the app do all that it does, and return what it came to."""
    handbook = live.knowledge("handbook")
    await handbook.put(Passage("p1", "refunds cost nothing", {"source": "handbook"}), consistency="strong")
    told: dict[str, Any] = {}
    for number in range(2):
        event = Asked(customer="ann", text=f"refund please {number}", log=log)
        told[f"call {number}"] = await live.call("price", event, id=f"asked-{number}")
        told[f"ask {number}"] = (await live.ask(event, Priced, id=f"asked-{number}")).model_dump()
    told["plain"] = await live.call("plain", Priced(customer="ann", price=4, seen=1), id="plain")
    for how in ("raises", "refuses", "step", "catches", "value"):
        try:
            told[how] = await live.call("suffer", Poisoned(customer="bob", how=how), id=f"poisoned-{how}")
        except RunFailed as error:
            told[how] = error.reason
    try:
        await live.call("linger", Tardy(customer="di"), id="tardy")
    except RunFailed as error:
        told["late"] = error.reason
    await live.engine.send_many([Many(customer=f"c{each}", number=each) for each in range(5)])
    told["waited"] = await live.call("wait", Slow(customer="cy", wait_s=0.0, log=log), id="slow") > 0
    assert await live.engine.settled(60)
    store = live.engine.parts.store
    run = await store.run("asked-1:price")
    assert run is not None
    # Marks hold the time, and the answer of the model how long it took.
    told["journal"] = [
        (each.step, each.step.partition("/")[2] or bytes(each.value)) for each in run.records if "ask:" not in each.step
    ]
    told["status"] = (run.change.status, run.change.attempt)
    told["session"] = [(each.role, each.content) for each in (await store.history("default", "ann", now_ms=0)).messages]
    told["values"] = dict(await store.values("default", "price", "ann"))
    told["dead"] = sorted((each.run_id, each.reason, each.attempts) for each in await live.dead_letters())
    events = await store.read("noted", 0, after=0, limit=100)
    noted = [(each.event.key, Noted.decoded(each.event.data).note, each.event.causation_id) for each in events]
    told["noted"] = sorted((key, note, cause if note[0] != "g" else "") for key, note, cause in noted)
    told["ids"] = sorted(each.event.id for each in events if "gathered" not in each.event.data.decode())
    pieces = [each async for each in live.stream("asked-1:price", name="notes")]
    told["stream"] = [
        (each.kind, each.text, each.data, each.offset) for each in pieces if each.kind in ("token", "item")
    ]
    return told


async def within(seconds: float, work: Any) -> Any:
    async with asyncio.timeout(seconds):
        return await work
