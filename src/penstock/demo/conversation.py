"""A conversation with the team: each answer is shown while it is written, and what was said before counts."""

import asyncio
import os
import sys
from contextlib import suppress
from threading import Thread
from time import perf_counter

from rich.console import Console
from rich.markup import escape

from penstock.app import Running
from penstock.demo.asking import ANSWER_S_MAX
from penstock.demo.questions import Asked, Tally, Told
from penstock.demo.team import Answer, Question
from penstock.errors import PenstockError
from penstock.runtime.releases import Listener

LINE_BYTES_MAX = 65_536


async def chat(live: Running, console: Console, model: str) -> Tally:
    """Talk with the team in one conversation, until an empty line or the end of the input; a failure does not end it."""
    clock = live.engine.services.clock
    session = clock.new_id()
    tally = Tally()
    console.print(f"Ask about the documents (model: {model}). An empty line ends the conversation.")
    lines = _Lines()
    while text := await _next(lines, console):
        tally.asked += 1
        began = perf_counter()
        try:
            answer = await _told_live(live, console, Question(session_id=session, text=text), clock.new_id())
        except PenstockError as error:
            console.print(f"[red]{escape(str(error))}[/]")
            continue
        took_s = perf_counter() - began
        tally.seconds += took_s
        tally.told.append(Told(Asked(text), answer, took_s * 1000))
        console.print(f"[dim]{escape(', '.join(dict.fromkeys(answer.cited)) or 'no source')}[/]", highlight=False)
    return tally


async def _next(lines: "_Lines", console: Console) -> str:
    console.print("[bold]you[/] > ", end="")
    return await lines.next()


class _Lines:
    """The lines of the standard input.

    They are read below Python's own buffer, in a thread that nobody waits for: so Ctrl-C ends a conversation at once,
    although the thread still reads.
    """

    def __init__(self) -> None:
        self._read = b""

    async def next(self) -> str:
        """Return the next line; an empty one at the end of the input."""
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[str] = loop.create_future()

        def read() -> None:
            text = self._line()
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(tell, text)

        def tell(text: str) -> None:
            if not typed.done():
                typed.set_result(text)

        Thread(target=read, daemon=True).start()
        return await typed

    def _line(self) -> str:
        with suppress(OSError):  # there is no input
            while b"\n" not in self._read and len(self._read) < LINE_BYTES_MAX:
                piece = os.read(sys.stdin.fileno(), LINE_BYTES_MAX)
                if not piece:
                    break
                self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return line.decode("utf-8", errors="replace").strip()


async def _told_live(live: Running, console: Console, question: Question, event_id: str) -> Answer:
    """Ask, and show the answer as it is written; what the evaluator then rejects is written again."""
    with live.engine.services.releases.listening(event_id) as listener:
        shower = asyncio.ensure_future(_show_pieces(listener, console))
        try:
            answer = await live.ask(question, Answer, id=event_id, within_s=ANSWER_S_MAX)
            await asyncio.sleep(0)
        finally:
            shower.cancel()
    console.print()
    return answer


async def _show_pieces(listener: Listener, console: Console) -> None:
    async for piece in listener.pieces():
        if piece.kind == "token" and piece.name == "answer":
            console.print(escape(piece.text), end="", highlight=False)
        elif piece.kind == "event" and piece.name.startswith("Rejected"):
            console.print("\n[yellow](the evaluator rejects this; once more)[/]")
