"""Penstock's own events are of every app: their names must be none that a user gives to his."""

from penstock import App, Event
from penstock.core.agents import again, control
from penstock.wiring import topology_of

STORED_SINCE_0_1 = {"Signal.v1", "Cancel.v1", "Decide.v1"}


def own_types():
    modules = (again, control)
    return {
        each.type_
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Event) and each.__module__ == module.__name__
    }


def test_our_own_events_have_names_of_two_words():
    """A user's Question, Answer or Order is taken by nobody."""
    for name in own_types() - STORED_SINCE_0_1:
        assert sum(char.isupper() for char in name.partition(".")[0]) >= 2, name


def test_an_app_may_have_an_answer():
    class Answer(Event):
        text: str

    app = App("desk", events=[Answer])
    assert topology_of(app.declared).named("Answer").event is Answer
