"""Bytes that somebody put into the store are data or damage: nothing is imported, and nothing is called."""

import os
import pickle
import sys
from contextlib import suppress

import msgspec
import pytest

from penstock import App, Context, Event, testing
from penstock.core.agents.journal import StepRecord
from penstock.errors import Invalid, PenstockError

BAIT = "penstock_bugbank_bait"  # a module that must never be imported
SPIED = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class", "import", "ctypes.dlopen")
_spying: list[list[tuple[str, tuple]]] = []  # one, while a test listens


def _audit(event, args):
    if _spying and event in SPIED:
        _spying[0].append((event, args))


sys.addaudithook(_audit)  # a hook stays for good: it looks only while a test listens


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch pwned",))


class Question(Event, key="who"):
    who: str


class Answer(Event, key="who"):
    who: str
    text: str


def hostile() -> dict[str, bytes]:
    pack = msgspec.msgpack.encode
    named = {"__class__": f"{BAIT}.Evil", "py/object": f"{BAIT}.Evil", "__reduce__": [f"{BAIT}.call", ["x"]]}
    langchain = {"lc": 2, "type": "constructor", "id": [BAIT, "Evil"], "kwargs": {}}
    records = [["s#0", named, 1], ["s#0", langchain, 1]]
    extensions = [msgspec.msgpack.Ext(code, pickle.dumps(Bomb())) for code in (1, 5, 42)]
    return {
        "a pickle": pickle.dumps(Bomb()),
        "old pickle": b"cos\nsystem\n(S'touch pwned'\ntR.",
        "an object by name": pack(records[:1]),
        "a constructor by name": pack(records[1:]),
        "extensions": pack([["s#0", each, 1] for each in extensions]),
        "an extension for all": pack(extensions[1]),
        "yaml": b"!!python/object/apply:os.system ['touch pwned']",
        "json": msgspec.json.encode([["s#0", named, 1]]),
        "nothing": b"",
        "noise": bytes(range(256)),
        "deep": b"\x91" * 100_000,
    }


def asking(expect=str):
    app = App("asking")

    async def compute() -> expect:
        return "computed"

    @app.agent
    async def answer(question: Question, ctx: Context) -> Answer:
        text = await ctx.step("s", compute)
        remembered = await ctx.values.get("v", "")
        history = await ctx.session.history(last=5)
        return Answer(who=question.who, text=f"{text}{remembered}{len(history)}")

    del answer
    return app


@pytest.fixture
def spied(tmp_path, monkeypatch):
    """What was imported and called while the engine ran, beside what it needs anyway."""
    bait = tmp_path / f"{BAIT}.py"
    bait.write_text("raise SystemExit('the bait was taken')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    seen = []
    _spying.append(seen)
    yield seen
    _spying.clear()


@pytest.mark.parametrize("place", ["journal", "records", "values", "session", "event"])
@pytest.mark.parametrize("kind", hostile())
async def test_hostile_bytes_in_the_store_import_and_call_nothing(disk, spied, tmp_path, place, kind):
    """CVE-2026-28277 (langgraph): a checkpoint that somebody had written was unpickled, and did what it was told."""
    app, question = asking(), Question(who="a")
    async with testing.app(app, disk=disk) as live, live.crash_at("after effect"):
        await live.ask(question, Answer, id="q")
    body, memory = hostile()[kind], disk.memory
    match place:
        case "journal":
            memory.chunks["q:answer"] = [body]
        case "records":
            async with testing.app(app, disk=disk) as live:
                await live.settled()
            memory.runs["q:answer"].records = body
        case "values":
            memory.values["default", "answer", "a"] = {"v": body}
        case "session":
            memory.sessions["default", "a"] = [(0, 1, 2**62, body)]
        case _:
            stored = memory.ids["q"]  # the log holds the same one
            msgspec.structs.force_setattr(stored.event, "data", body)
    spied.clear()
    with suppress(PenstockError):  # damage is told
        async with testing.app(app, disk=disk) as live:
            known = await live.engine.parts.store.run("q:answer")
            assert known is None or all(isinstance(each, StepRecord) for each in known.records)
            await live.ask(question, Answer, id="q", within_s=1000)
    taken = [each for each in spied if each[0] != "import" or str(each[1][0]).startswith(BAIT)]
    assert not taken
    assert BAIT not in sys.modules
    assert [each.name for each in tmp_path.iterdir()] == [f"{BAIT}.py"], "something was called"


def test_the_spy_sees_what_a_pickle_does(spied):
    """The test above can fail: unpickling the same bytes is seen."""
    pickle.loads(hostile()["a pickle"])  # noqa: TID251 - what is spied upon
    assert {event for event, _ in spied} >= {"pickle.find_class", "os.system"}


def test_damage_is_told_and_not_guessed_at():
    from penstock.core.agents.journal import decode_chunk

    with pytest.raises(Invalid, match="restore a backup"):
        decode_chunk(hostile()["a pickle"])
