"""A process that forgets somebody, and is killed at one of its transactions, or as the file is made anew."""

import asyncio
import os
import signal

from penstock import App, Context, Event, Passage

ANNA, BEN = "anna@example.org", "ben@example.org"
SECRET, OTHER = "The knee of Anna hurts since tuesday", "The dog of Ben is called Rufus Maximus"


class Said(Event, key="who", subject="who"):
    who: str
    text: str


def clinic():
    app = App("clinic")
    files = app.knowledge("files")

    @app.agent
    async def listen(said: Said, ctx: Context) -> str:
        await ctx.session.add("user", said.text)
        await ctx.values.set("last", said.text)
        await ctx.step("think", str.upper, said.text)
        files.put(Passage(f"note {said.who}", said.text))
        ctx.emit(said.model_copy(update={"text": f"again: {said.text}"}), after_s=86_400)
        return said.text

    return app


async def talked(path):
    async with clinic().running(store=f"sqlite:{path}") as live:
        for who, text in ((ANNA, SECRET), (BEN, OTHER)):
            await live.call("listen", Said(who=who, text=text))
        await live.knowledge("files").indexed()


def forget(path, statement, nth):
    """Die as the n-th statement of this kind is about to be executed."""
    asyncio.run(_forget(path, statement, nth))


async def _forget(path, statement, nth):
    async with clinic().running(store=f"sqlite:{path}") as live:
        seen = 0

        def traced(executed):
            nonlocal seen
            seen += executed.startswith(statement)
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        sqlite = live.engine.parts.store._inner._inner
        await sqlite.transact(lambda connection: connection.set_trace_callback(traced))
        seen = 0
        await live.forget(ANNA)
