"""An app whose first worker is killed amid a step, and whose runs wait: what its trace must survive."""

import os
from pathlib import Path

from penstock import App, Context, Event, WorkflowContext

NOTES = Path(os.environ.get("CARRIED_NOTES", "notes.txt"))


class Asked(Event, key="who", topic="asked"):
    who: str


class Planned(Event, key="who", topic="planned"):
    who: str


class Done(Event, key="who", topic="done"):
    who: str
    text: str


app = App("carried", events=[Done])
books = app.knowledge("books", documents=Path(__file__).parent / "carried_books.md")


def killed_once() -> str:
    """End the process as a kill does, the first time."""
    if not NOTES.exists():
        NOTES.write_text("killed")
        os.kill(os.getpid(), 9)
    return "looked"


@app.agent
async def plan(asked: Asked, ctx: Context) -> Planned:
    await ctx.step("look", killed_once)
    await books.search("what drives the wheel?")
    return Planned(who=asked.who)


@app.workflow
async def carry(planned: Planned, ctx: WorkflowContext) -> Done:
    await ctx.sleep(0.2)
    reply = await ctx.model().ask("What drives the wheel?")
    return Done(who=planned.who, text=reply.text)
