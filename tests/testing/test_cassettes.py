"""Cassettes: what models and tools answered once is played without them, and what is not on the tape is said in full."""

import json
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from penstock import App, Context, Event, testing
from penstock.errors import Finding, Invalid, Missing, Refused, RunFailed, Unavailable
from penstock.ports.chat_model import ChatRequest, Message
from penstock.testing import Cassette, ScriptedModel
from penstock.testing.chat_model_contract import ASKED, ChatModelContract
from penstock.testing.chat_model_contract import Question as Question_
from penstock.testing.fixtures import anyio_backend, disk

__all__ = ["anyio_backend", "disk"]


class Question(Event):
    text: str


class Answer(Event):
    text: str
    found: int


class Weather(BaseModel):
    place: str
    degrees: float


@dataclass
class Found:
    pages: list[str]
    raw: bytes


class Client:
    """A tool with a connection of its own, and a count of its calls."""

    def __init__(self):
        self.calls = 0
        self.failure = None

    async def search(self, text: str, *, limit: int = 5, headers: dict | None = None) -> Found:
        self.calls += 1
        if self.failure:
            raise self.failure
        return Found([f"page {self.calls} on {text}"] * min(limit, 2), b"\x00\xff")

    def weather(self, place: str) -> Weather:
        self.calls += 1
        return Weather(place=place, degrees=21.5)


class ClosedError(Exception):
    pass


def asking(client, *, question="{text}?"):
    app = App("asking")
    app.model("answerer", "openai:gpt-4.1-mini")

    @app.agent
    async def answer(question_: Question, ctx: Context) -> Answer:
        found = await ctx.step("search", client.search, question_.text, limit=2, headers={"Authorization": "Bearer x"})
        assert isinstance(found, Found)
        weather = await ctx.read("weather", client.weather, "Vienna")
        assert isinstance(weather, Weather)
        reply = await ctx.model("answerer").ask(question.format(text=question_.text))
        return Answer(text=f"{reply.text} {weather.degrees}", found=len(found.pages))

    return app


async def asked(app, tape, real=None, text="rain"):
    models = {"answerer": tape.model("answerer", real)}
    async with testing.app(app, models=models, tools=tape.tools) as live:
        return await live.ask(Question(text=text), Answer)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tapes" / "asking.jsonl"


@pytest.fixture
async def recorded(path):
    """A tape on which one question lies."""
    answer = await asked(asking(Client()), Cassette(path, "record"), ScriptedModel(["It will."], name="real:one"))
    assert answer == Answer(text="It will. 21.5", found=2)
    return path


async def test_what_was_recorded_is_played_without_model_and_tools(recorded):
    client, tape = Client(), Cassette(recorded)
    assert await asked(asking(client), tape) == Answer(text="It will. 21.5", found=2)
    assert client.calls == 0
    assert tape.unplayed == []


async def test_the_tape_is_lines_of_json_without_secrets(recorded):
    lines = [json.loads(line) for line in recorded.read_text().splitlines()]
    assert [(line["kind"], line["name"]) for line in lines] == [
        ("tool", "search"),
        ("tool", "weather"),
        ("model", "answerer"),
    ]
    assert lines[0]["request"] == {"args": ["rain"], "options": {"limit": 2, "headers": {"Authorization": "***"}}}
    assert "Bearer" not in recorded.read_text()


async def test_a_tool_call_that_is_not_on_the_tape_is_said_with_all_that_differs(recorded):
    app = App("asking")
    client = Client()

    @app.agent
    async def answer(question: Question, ctx: Context) -> Answer:
        await ctx.step("search", client.search, "snow", limit=3, extra=None)
        raise AssertionError

    with pytest.raises(RunFailed) as failed:
        await asked(app, Cassette(recorded))
    for part in (
        "a call of 'search', which is not on",
        "args[0]: is 'snow', recorded was 'rain'",
        "options.limit: is 3, recorded was 2",
        "options.extra: is None, and was not recorded",
        "options.headers: is not given, recorded was {'Authorization': '***'}",
        "PENSTOCK_CASSETTES=record",
    ):
        assert part in failed.value.reason
    assert client.calls == 0


async def test_a_model_request_that_is_not_on_the_tape_is_said_with_all_that_differs(recorded):
    with pytest.raises(RunFailed, match=r"messages\[0\].content: is 'Really, rain\?', recorded was 'rain\?'"):
        await asked(asking(Client(), question="Really, {text}?"), Cassette(recorded))


async def test_a_tool_that_was_never_recorded_is_named_with_those_that_were(recorded):
    with pytest.raises(Invalid) as raised:
        await Cassette(recorded).tools("pay", print, (), {})
    assert raised.value.findings == (
        Finding(
            "name",
            "no tool of that name was recorded; recorded: search, weather",
            "if that is meant, record it again: PENSTOCK_CASSETTES=record",
        ),
    )


async def test_the_nth_same_call_gets_the_nth_answer_and_the_last_is_given_again(path):
    client, tape = Client(), Cassette(path, "record")
    for _ in range(2):
        await tape.tools("search", client.search, ("rain",), {})
    played = Cassette(path)
    found = [(await played.tools("search", client.search, ("rain",), {})).pages[0] for _ in range(3)]
    assert found == ["page 1 on rain", "page 2 on rain", "page 2 on rain"]
    assert client.calls == 2


async def test_a_process_that_dies_is_played_the_same_answers_again(recorded, disk):
    app, tape = asking(Client()), Cassette(recorded)
    models = {"answerer": tape.model("answerer")}
    async with testing.app(app, models=models, tools=tape.tools, disk=disk) as live, live.crash_at("after effect"):
        await live.ask(Question(text="rain"), Answer, id="q")
    async with testing.app(app, models=models, tools=tape.tools, disk=disk) as live:
        assert (await live.ask(Question(text="rain"), Answer, id="q")).text == "It will. 21.5"


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("search", "find", "503"),
        Refused("no", "ask less"),
        ValueError("odd"),
        KeyError("x"),
        ClosedError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_is_recorded_and_raised_again(path, error):
    client, tape = Client(), Cassette(path, "record")
    client.failure = error
    with pytest.raises(type(error)):
        await tape.tools("search", client.search, ("rain",), {})
    expected = RuntimeError if isinstance(error, ClosedError) else type(error)
    with pytest.raises(expected) as raised:
        await Cassette(path).tools("search", client.search, ("rain",), {})
    assert client.calls == 1
    if expected is RuntimeError:
        assert str(raised.value) == "ClosedError: gone"
    else:
        assert raised.value.args == error.args


async def test_a_model_that_fails_is_played_failing(path):
    real = ScriptedModel([Unavailable("the model", "stream")])
    with pytest.raises(Unavailable):
        await _streamed(Cassette(path, "record").model("m", real))
    with pytest.raises(Unavailable):
        await _streamed(Cassette(path).model("m"))


async def test_passing_through_asks_the_real_ones_and_writes_nothing(path):
    client, tape = Client(), Cassette(path, "passthrough")
    assert (await asked(asking(client), tape, ScriptedModel(["Yes."]))).text == "Yes. 21.5"
    assert client.calls == 2
    assert not path.exists()


async def test_a_recording_begins_anew_and_only_when_something_is_called(recorded):
    before = recorded.read_text()
    tape = Cassette(recorded, "record")
    assert recorded.read_text() == before
    await tape.tools("weather", Client().weather, ("Rome",), {})
    assert len(recorded.read_text().splitlines()) == 1


async def test_what_was_recorded_and_is_not_asked_for_any_more_is_told(recorded):
    tape = Cassette(recorded)
    await tape.tools("weather", Client().weather, ("Vienna",), {})
    assert tape.unplayed == ["search", "answerer"]


async def test_one_can_redact_more(path):
    tape = Cassette(path, "record", redact=lambda data: json.loads(json.dumps(data).replace("Vienna", "somewhere")))
    await tape.tools("weather", Client().weather, ("Vienna",), {})
    assert "Vienna" not in path.read_text()
    played = Cassette(path, redact=lambda data: json.loads(json.dumps(data).replace("Vienna", "somewhere")))
    assert (await played.tools("weather", Client().weather, ("Vienna",), {})).place == "somewhere"


def test_what_looks_like_a_secret_is_hidden():
    given = {
        "api_key": "abc",
        "X-Api-Key": "abc",
        "tokens_max": 10,
        "texts": ["key sk-abcdef123456", "Bearer abc.def", "postgresql://me:word@host/db", "harmless sketch"],
    }
    assert testing.redacted(given) == {
        "api_key": "***",
        "X-Api-Key": "***",
        "tokens_max": 10,
        "texts": ["key ***", "***", "postgresql://***@host/db", "harmless sketch"],
    }


def test_a_missing_tape_says_how_to_record_it(path):
    with pytest.raises(Missing, match="PENSTOCK_CASSETTES=record"):
        Cassette(path)


def test_a_damaged_tape_is_refused_with_all_its_lines(path):
    path.parent.mkdir()
    path.write_text('{"kind":"tool","name":"a","request":1}\nnonsense\n{"kind":"other","name":"a","request":1}\n')
    with pytest.raises(Invalid) as raised:
        Cassette(path)
    assert [each.path for each in raised.value.findings] == ["line 2", "line 3"]


def test_the_mode_comes_from_the_environment(path, monkeypatch):
    monkeypatch.setenv("PENSTOCK_CASSETTES", "record")
    assert Cassette(path).mode == "record"
    monkeypatch.setenv("PENSTOCK_CASSETTES", "recrod")
    with pytest.raises(Invalid, match="one of replay, record, passthrough"):
        Cassette(path)


def test_a_model_to_record_from_must_be_given(path):
    with pytest.raises(Missing, match="the_real_one"):
        Cassette(path, "record").model("answerer")


async def _streamed(model, request=ASKED):
    return [piece async for piece in model.stream(request)]


async def _nothing_open():
    return 0


class TestRecordingModel(ChatModelContract):
    @pytest.fixture
    def model(self, path):
        return Cassette(path, "record").model("m", ScriptedModel(["It brings water."] * 9))

    @pytest.fixture
    def refusing(self, path):
        return Question_(Cassette(path, "record").model("m", ScriptedModel([])), ASKED)

    @pytest.fixture
    def open_calls(self):
        return _nothing_open


class TestPlayedModel(ChatModelContract):
    @pytest.fixture
    async def model(self, path):
        await _streamed(Cassette(path, "record").model("m", ScriptedModel(["It brings water."])), ASKED)
        return Cassette(path).model("m")

    @pytest.fixture
    def refusing(self, model):
        return Question_(model, ChatRequest((Message("user", "Something else?"),)))

    @pytest.fixture
    def open_calls(self):
        return _nothing_open
