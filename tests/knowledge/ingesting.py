"""One life of an app that takes documents in, in a process of its own, which kills itself (SIGKILL) at a write point."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from random import Random

from penstock import App
from penstock.core.knowledge.chunking import Document
from penstock.core.knowledge.documents import document_passages
from penstock.runtime.engine import running
from penstock.runtime.knowledge import OpenKnowledge
from penstock.settings import Settings
from penstock.testing.chaos.worker import KilledStore
from penstock.testing.crashing import Fate
from penstock.wiring import opened

COLLECTION = "books"
PAGE = 3  # events that a build takes in first, to begin with
CUT = {"words_max": "60"}


def app():
    made = App("library")
    made.knowledge(COLLECTION)
    return made


def store_of(path):
    """Return the address of a store: of a file, or one that is given."""
    return f"sqlite:{path}" if isinstance(path, Path) else path


def version(document, number):
    """Return the text of a version: each has other sections, and fewer of them."""
    return "\n\n".join(f"# part {each}\n\n" + f"{document} {number} {each} " * 60 for each in range(4 - number))


def passages(document, number):
    """Return id -> digest of what a version comes to; number 3: it is deleted."""
    if number == 3:
        return {}
    cut = document_passages(Document(document, "", version(document, number)))
    return {each.id: each.digest for each in cut}


SCRIPT = [(f"d{document}", number) for number in range(4) for document in range(2)]


def built(path, point, nth):
    """Build a generation of what is there, and die on the way, or do not."""
    asyncio.run(_built(path, point, nth))


async def _built(path, point, nth):
    fate = Fate(kill=lambda: os.kill(os.getpid(), signal.SIGKILL))
    async with opened(app().declared, Settings(store=store_of(path))) as parts:
        store = KilledStore(parts.store, fate, Random(nth))
        async with running(replace(parts, store=store, reached=fate.reached), owner="library") as engine:
            engine.keepers[COLLECTION].building.pace(2).page = PAGE
            generations = OpenKnowledge(COLLECTION, engine, "default").generations
            if point is not None:
                fate.decide(point, nth)
            known = {each.generation.number for each in await generations.list()}
            number = 2 if 2 in known else await generations.build(options=CUT, switch=True)
            await generations.ready(number, within_s=40)


def live(path, point, nth, acknowledged):
    """Do what the script says from where the file of acknowledgements ends; die on the way, or do not."""
    asyncio.run(_live(path, point, nth, acknowledged))


async def _live(path, point, nth, acknowledged):
    fate = Fate(kill=lambda: os.kill(os.getpid(), signal.SIGKILL))
    async with opened(app().declared, Settings(store=store_of(path))) as parts:
        store = KilledStore(parts.store, fate, Random(nth))
        async with running(replace(parts, store=store, reached=fate.reached), owner="library") as engine:
            books = OpenKnowledge(COLLECTION, engine, "default")
            if point is not None:
                fate.decide(point, nth)
            begin = len(acknowledged.read_text().splitlines()) if acknowledged.exists() else 0
            for number, (document, each) in enumerate(SCRIPT[begin:], begin):
                if each == 3:
                    await books.delete(documents=[document])
                else:
                    consistency = "strong" if number % 3 == 0 else "eventual"
                    await books.put(Document(document, "", version(document, each)), consistency=consistency)
                with acknowledged.open("a") as file:
                    file.write(f"{document} {each}\n")
            await books.refresh()
