"""Each setting of `penstock.toml` has its flag where an app is started, and workers are started with what was given."""

from dataclasses import fields

import pytest
from typer.main import get_command

from penstock.cli import app
from penstock.cli.arguments import as_arguments
from penstock.settings import Settings

# `serve` and `dev` listen at --host; where handlers and streams are executed is a setting there.
ELSEWHERE = {"run": set(), "serve": {"host", "streams"}, "dev": {"host", "streams"}}


@pytest.mark.parametrize("command", ELSEWHERE)
def test_each_setting_has_a_flag(command):
    flags = {flag for each in get_command(app).commands[command].params for flag in each.opts}
    settings = {each.name for each in fields(Settings)} - ELSEWHERE[command]
    assert {f"--{each.replace('_', '-')}" for each in settings} <= flags


def test_settings_are_typed_as_their_flags():
    assert as_arguments({"store": "memory:", "vectors_answer_s": "2", "log": None}) == [
        "--store",
        "memory:",
        "--vectors-answer-s",
        "2",
    ]
