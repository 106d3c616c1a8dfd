"""Routers in the hands of users: inside a handler, where a choice is a step, and outside."""

from collections.abc import Sequence

from penstock.core.routing.judging import Judgement
from penstock.core.routing.router import Routed
from penstock.runtime.context import required
from penstock.runtime.engine import Engine
from penstock.runtime.routing import RouteAsked


class Router:
    """A router as handlers use it: `desk = app.router("desk", routes={...})`."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def choose(self, text: str) -> Routed:
        """Return where a text belongs: a step of the run. `route` is "" when it belongs to none."""
        ctx = required()
        return await ctx.read(f"route:{self.name}", ctx.router(self.name).choose, RouteAsked(text), ctx.tenant)


class OpenRouter:
    """A router of a running app, as callers from outside use it."""

    def __init__(self, name: str, engine: Engine, tenant: str) -> None:
        self._router = engine.services.router(name)
        self._tenant = tenant

    async def choose(self, text: str) -> Routed:
        """Return where a text belongs."""
        return await self._router.choose(RouteAsked(text), self._tenant)

    async def choose_many(self, texts: Sequence[str]) -> list[Routed]:
        """Return where several texts belong."""
        return await self._router.choose_many(texts, self._tenant)

    async def judge(self, texts: Sequence[str], routes: Sequence[str]) -> Judgement:
        """Say how well texts are decided whose routes are known ("": none)."""
        return await self._router.judge(texts, routes, self._tenant)

    async def routes(self) -> tuple[str, ...]:
        """Return the routes that it knows."""
        return (await self._router.learned(self._tenant)).model.routes
