from penstock.core.telemetry.reminders import HELD_MAX, Reminders


def test_what_lasts_is_said_at_once_then_once_a_period_and_when_it_is_over():
    said = Reminders(period_s=60.0)
    assert [second for second in range(0, 200, 10) if said.is_due("reading", second)] == [0, 60, 120, 180]
    assert said.is_due("writing", 15)
    assert said.is_over("reading")
    assert not said.is_over("reading")
    assert said.is_due("reading", 181)


def test_what_was_never_said_is_not_said_to_be_over():
    assert not Reminders().is_over("reading")


def test_a_clock_that_is_set_back_does_not_silence_anything():
    said = Reminders(period_s=60.0)
    assert said.is_due("reading", 1000)
    assert said.is_due("reading", 10)


def test_what_is_remembered_is_bounded():
    said = Reminders()
    for number in range(HELD_MAX + 1):
        said.is_due(str(number), 0)
    assert not said.is_over("0")
    assert said.is_over("1")
