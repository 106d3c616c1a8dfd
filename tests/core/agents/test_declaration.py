"""What an agent is, read from a function; and each thing that can be wrong with it, all said at once."""

import functools
from typing import Any

import pytest

from penstock.core.agents.declaration import BATCH_MAX, Options, declare, declared, event_key
from penstock.core.agents.policy import Retry
from penstock.core.events.event import Event
from penstock.errors import Invalid


class Asked(Event):
    session_id: str


class Told(Event, key="session_id"):
    session_id: str


class Seen(Event):
    place: str


async def plain(event: Asked) -> None: ...


async def with_context(event: Asked, ctx: Any) -> Told: ...


async def either(event: Asked | Told) -> Told | None: ...


async def many(events: list[Asked]) -> list[Told]: ...


async def several_kinds(events: list[Asked | Seen]) -> tuple[Told, Seen]: ...


async def silent(event: Asked): ...


def test_what_an_agent_takes_and_gives_is_read_from_its_annotations():
    assert taken_and_given(plain) == ((Asked,), (), False)
    assert taken_and_given(with_context) == ((Asked,), (Told,), True)
    assert taken_and_given(either) == ((Asked, Told), (Told,), False)
    assert taken_and_given(silent) == ((Asked,), (), False)


def test_an_agent_that_takes_batches_takes_a_list():
    assert taken_and_given(many, batch=8) == ((Asked,), (Told,), False)
    assert taken_and_given(several_kinds, batch=BATCH_MAX) == ((Asked, Seen), (Told, Seen), False)


def test_a_method_is_an_agent():
    class Team:
        async def answer(self, event: Asked) -> Told: ...

    assert declare(Team().answer, "answer", Options()).accepts == (Asked,)


def test_the_key_of_an_agent_goes_before_that_of_the_event():
    agent = declare(either, "a", Options(key="session_id"))
    assert (agent.key_field(Asked), agent.key_field(Told)) == ("session_id", "session_id")
    agent = declare(either, "a", Options())
    assert (agent.key_field(Asked), agent.key_field(Told)) == (None, "session_id")


def test_a_partition_is_decided_by_the_key_on_which_all_takers_agree():
    by_session = declare(plain, "a", Options(key="session_id"))
    unordered = declare(plain, "b", Options())

    class Wide(Asked):
        other: str

    async def wide(event: Wide) -> None: ...

    by_other = declare(local(wide, Wide), "c", Options(key="other"))
    by_session_too = declare(local(wide, Wide), "d", Options(key="session_id"))
    assert event_key(Asked, {"a": by_session, "b": unordered}) == "session_id"
    assert event_key(Asked, {"b": unordered}) is None
    assert event_key(Wide, {"c": by_other}) == "other"
    assert event_key(Wide, {"c": by_other, "d": by_session_too}) is None
    assert event_key(Told, {}) == "session_id"


async def no_parameter() -> None: ...


async def three_parameters(event: Asked, ctx: Any, more: int) -> None: ...


async def no_annotation(event) -> None: ...


async def no_event(event: dict[str, str]) -> None: ...


async def unknown_name(event: "Nowhere") -> None: ...  # noqa: F821


async def unknown_attribute(event: "pytest.Nowhere") -> None: ...


async def no_type(event: "1 +") -> None: ...  # noqa: F722


def not_async(event: Asked) -> None: ...


@pytest.mark.parametrize(
    ("handler", "options", "paths"),
    [
        (no_parameter, Options(), ["parameters", "event"]),
        (three_parameters, Options(), ["parameters"]),
        (no_annotation, Options(), ["event"]),
        (no_event, Options(), ["event"]),
        (unknown_name, Options(), ["annotations"]),
        (unknown_attribute, Options(), ["annotations"]),
        (no_type, Options(), ["annotations"]),
        (not_async, Options(), ["handler"]),
        (functools.partial(plain), Options(), ["annotations"]),
        (plain, Options(key="nowhere"), ["key"]),
        (either, Options(key="nowhere"), ["key", "key"]),
        (plain, Options(timeout_s=0), ["timeout_s"]),
        (plain, Options(timeout_s=float("nan")), ["timeout_s"]),
        (plain, Options(batch=2), ["batch"]),
        (many, Options(), ["batch"]),
        (many, Options(batch=-1), ["batch"]),
        (many, Options(batch=BATCH_MAX + 1), ["batch"]),
        (plain, Options(retry=Retry(attempts_max=0, factor=0.5)), ["retry.attempts_max", "retry.factor"]),
        (not_async, Options(key="nowhere", timeout_s=-1, batch=3), ["timeout_s", "handler", "batch", "key"]),
        (unknown_name, Options(timeout_s=-1), ["timeout_s", "annotations"]),
        (many, Options(batch="10"), ["batch"]),
        (many, Options(batch=2.0), ["batch"]),
        (many, Options(batch=True), ["batch"]),
        (plain, Options(timeout_s="5"), ["timeout_s"]),
        (plain, Options(timeout_s=None), ["timeout_s"]),
        (plain, Options(retry=3), ["retry"]),
        (plain, Options(retry=Retry(attempts_max="3", delay_s=None)), ["retry.attempts_max", "retry.delay_s"]),
        (plain, Options(key=3), ["key"]),
        (plain, Options(key=["session_id"]), ["key"]),
        ("plain", Options(), ["handler", "annotations"]),
    ],
)
def test_each_thing_that_is_wrong_is_found(handler, options, paths):
    with pytest.raises(Invalid) as refusal:
        declare(handler, "a", options)
    assert [finding.path for finding in refusal.value.findings] == paths
    assert all(finding.hint for finding in refusal.value.findings)


@pytest.mark.parametrize("name", ["", "a:b", ":", 5])
def test_a_name_must_be_one_that_a_run_id_can_end_with(name):
    with pytest.raises(Invalid, match="name: is"):
        declare(plain, name, Options())


def test_an_option_that_there_is_not_is_found_with_all_else():
    with pytest.raises(Invalid) as refusal:
        declared(plain, "a", {"retires": 3, "timeout_s": 0, "workflow": True})
    found = {finding.path: finding.hint for finding in refusal.value.findings}
    assert list(found) == ["retires", "workflow", "timeout_s"]
    assert found["retires"] == "the options are name, key, retry, timeout_s, batch, flow, retention, pattern, resources"
    with pytest.raises(Invalid, match="retires: is not an option"):
        declared(plain, "a", {"retires": 3})


def test_options_are_given_by_name():
    assert declared(plain, "a", {"timeout_s": 5}).options == Options(timeout_s=5)


def taken_and_given(handler, **options):
    agent = declare(handler, "a", Options(**options))
    return agent.accepts, agent.emits, agent.wants_context


def local(handler, event):
    """Annotate with a class that no module knows."""
    handler.__annotations__["event"] = event
    return handler
