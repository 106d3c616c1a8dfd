"""A job of an app's streams and the app beside it, without Flink and Kafka: what one emits for the other is carried over."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from keyed_driver import Driver

from penstock import App, testing
from penstock.core.events.messages import Place, to_event
from penstock.flink.carrying import source_topics
from penstock.testing.apps import Live
from penstock.wiring import Declared


class Streams:
    """The streams of an app, as what a job carries."""

    def __init__(self, app: App) -> None:
        self.declared = app.declared.of_streams()


class Rest(App):
    """An app as it is beside its streams."""

    def __init__(self, app: App) -> None:
        super().__init__(app.name)
        self._rest = app.declared.beside_streams()

    @property
    def declared(self) -> Declared:
        return self._rest


class Both:
    """A job, and the app beside it."""

    def __init__(self, driver: Driver, live: Live, streams: Streams) -> None:
        self.driver = driver
        self.live = live
        self._streams = streams
        self._over = 0  # how much of what the job sent was brought to the app
        self._back: dict[str, int] = {}  # of each topic of the app: up to where it was brought to the job

    async def carried(self) -> None:
        """Carry until nothing is left that one has for the other."""
        before = -1
        while before != (before := len(self.driver.sent)):
            await self.driver.bring_back()
            await self._to_the_app()
            await self._to_the_job()

    async def _to_the_app(self) -> None:
        topology = self.live.engine.parts.topology
        while self._over < len(self.driver.sent):
            topic, message = self.driver.sent[self._over]
            self._over += 1
            if topic in topology.topics:
                event = to_event(message, Place(topic, 0, self._over))
                kind = topology.named(event.type)
                as_sent = event.id.replace(".", "_")  # those of emitted events are taken from a broker alone
                await self.live.engine.send(kind.event.decoded(event.data), id=as_sent, tenant=event.tenant)
        await self.live.settled()

    async def _to_the_job(self) -> None:
        store, own = self.live.engine.parts.store, set(source_topics(self._streams.declared))
        for topic, partition in await store.ends():
            for each in await store.read(topic, partition, after=self._back.get(topic, 0), limit=10_000):
                self._back[topic] = each.position.offset
                if topic in own:
                    await self.driver.carry(topic, each.event)


@asynccontextmanager
async def job_and_app(app: App) -> AsyncGenerator[Both]:
    """Run the streams of an app as a job does, and the rest of it beside."""
    streams = Streams(app)
    async with testing.app(Rest(app)) as live, Driver(streams) as driver:
        yield Both(driver, live, streams)
