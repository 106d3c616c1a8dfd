"""An app whose handler, and a function that it calls as a step, make spans of their own."""

import os

from opentelemetry import trace

from penstock import App, Context, Event

app = App("traced")


class Asked(Event, key="who"):
    who: str


@app.agent
async def work(asked: Asked, ctx: Context) -> int:
    await ctx.step("look", look)
    await ctx.model().ask("what is it?")
    return os.getpid()


def look() -> int:
    with trace.get_tracer("users").start_as_current_span("in the step"):
        return 1
