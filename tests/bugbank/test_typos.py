"""What is mistyped or misplaced is an error that says what was meant."""

import pytest

from penstock import App, Context, Event
from penstock.errors import Invalid
from penstock.settings import settings


class Hello(Event, key="name"):
    name: str


async def greet(hello: Hello, ctx: Context) -> str:
    return hello.name


def test_a_setting_that_is_mistyped_in_the_file_is_an_error_with_all_of_them(tmp_path):
    """langgraph #8920: an unknown key of the configuration was passed over without a word."""
    (tmp_path / "penstock.toml").write_text('stroe = "memory:"\nmodel = 3\n[nested]\nstore = "memory:"\n')
    with pytest.raises(Invalid) as raised:
        settings(folder=tmp_path, environment={})
    assert {each.path for each in raised.value.findings} == {"stroe", "model", "nested"}


def test_a_flag_that_is_mistyped_is_an_error(tmp_path):
    """langgraph #8920, for flags."""
    with pytest.raises(Invalid, match="stroe: is not a setting"):
        settings({"stroe": "memory:"}, folder=tmp_path, environment={})


def test_a_variable_that_is_mistyped_is_an_error_and_those_of_others_are_not(tmp_path):
    """langgraph #8920, for the environment."""
    with pytest.raises(Invalid, match=r"PENSTOCK_STROE: is not a setting \(PENSTOCK_STORE is\)"):
        settings(folder=tmp_path, environment={"PENSTOCK_STROE": "memory:"})
    others = {"PENSTOCK_SEED": "1", "PENSTOCK_CASSETTES": "record", "PENSTOCK_POSTGRES_DSN": "x", "PATH": "y"}
    assert settings(folder=tmp_path, environment=others) == settings(folder=tmp_path, environment={})


def test_an_option_of_an_agent_that_is_mistyped_or_misplaced_is_an_error_with_all_of_them():
    """langgraph #8920, for options in code."""
    with pytest.raises(Invalid) as raised:
        App("typos").agent(timeout=3, retires=None)(greet)
    assert [each.path for each in raised.value.findings] == ["timeout", "retires"]


async def test_a_setting_of_a_running_app_that_is_mistyped_is_an_error():
    """langgraph #8920, for an embedded app."""
    app = App("typos")
    app.agent(greet)
    with pytest.raises(Invalid, match="stroe"):
        async with app.running(stroe="memory:"):
            pass
