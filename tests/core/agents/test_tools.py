"""A tool says what follows an unknown outcome; what does not go together is found when it is declared."""

import pytest

from penstock import NOT_DONE, Attempt, Reconcile, Retry, Skip, tool
from penstock.core.agents.attempts import OpenStep, begun, missed, next_move, unsettled, wait_s
from penstock.core.agents.tools import ToolOptions
from penstock.errors import Invalid

QUICK = Retry(attempts_max=3, delay_s=1, factor=1, delay_max_s=1)
HAPPENED = Reconcile(lambda key: key)


def test_a_tool_is_still_the_function_that_it_was():
    @tool
    def doubled(number: int, idempotency_key: str = "") -> int:
        """Twice as much."""
        return 2 * number

    assert doubled(4) == 8
    assert doubled.__doc__ == "Twice as much."
    assert repr(doubled) == "<tool doubled>"


def test_a_tool_gets_the_key_by_name_and_the_attempt_by_its_type():
    @tool
    async def charge(cents: int, idempotency_key: str = "", now: Attempt = Attempt.alone) -> None: ...

    attempt = Attempt("k", 2)
    assert charge.given((5,), {}, attempt) == {"idempotency_key": "k", "now": attempt}
    assert charge.given((5, "mine"), {"now": None}, attempt) == {"now": None}


def test_a_method_may_be_a_tool():
    class Bank:
        def __init__(self) -> None:
            self.keys: list[str] = []

        @tool(unknown=Skip())
        async def charge(self, cents: int, idempotency_key: str = "") -> None:
            self.keys.append(idempotency_key)

    bank = Bank()
    bound = bank.charge
    assert bound.options.unknown == Skip()
    assert bound.given((5,), {}, Attempt("k")) == {"idempotency_key": "k"}
    assert bound.given((5, "mine"), {}, Attempt("k")) == {}


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"unknown": "skip"}, "unknown"),
        ({"unknown": Reconcile("no function")}, "unknown"),
        ({"retry": 3}, "retry"),
        ({"retry": Retry(attempts_max=0)}, "retry.attempts_max"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"idle_s": "soon"}, "idle_s"),
        ({"total_s": 5}, "total_s"),
        ({"idle_s": 5}, "idle_s"),  # nothing beats
        ({"retries": 3}, "retries"),
    ],
)
def test_what_is_wrong_with_a_tool_is_said_when_it_is_declared(options, path):
    async def act() -> None: ...

    with pytest.raises(Invalid) as caught:
        tool(**options)(act)
    assert path in {finding.path for finding in caught.value.findings}


def test_a_function_that_is_not_async_cannot_be_bounded():
    with pytest.raises(Invalid, match="not async"):
        tool(timeout_s=5)(lambda: None)


@pytest.mark.parametrize(
    ("unknown", "move"), [("retry", "call"), (Skip(1), "skip"), ("ask", "ask"), (HAPPENED, "reconcile")]
)
def test_the_policy_decides_what_follows_an_unknown_outcome(unknown, move):
    options = ToolOptions(unknown=unknown)
    assert next_move(options, OpenStep(), 0) == "call"
    assert next_move(options, OpenStep(attempt=1, begun=True), 0) == move
    assert next_move(options, OpenStep(attempt=1), 0) == "call"


def test_attempts_end():
    options = ToolOptions(retry=QUICK)
    known = OpenStep()
    for _ in range(3):
        assert next_move(options, known, 0) == "call"
        known = missed(options, begun(known, 0), "no", 0, 0.5)
    assert next_move(options, known, 0) == "give up"
    assert next_move(options, OpenStep(failed=True), 0) == "failed"


def test_asking_what_happened_ends_too():
    options = ToolOptions(unknown=HAPPENED, retry=QUICK)
    assert next_move(options, OpenStep(attempt=3, begun=True), 0) == "reconcile"
    assert next_move(options, OpenStep(attempt=6, begun=True), 0) == "give up"


def test_all_attempts_together_have_a_time():
    options = ToolOptions(retry=QUICK, total_s=10)
    known = missed(options, begun(OpenStep(), 1000), "no", 2000, 0.5)
    assert next_move(options, known, 10_999) == "call"
    assert next_move(options, known, 11_000) == "give up"


def test_the_next_attempt_waits_its_time_whatever_the_clock_does():
    known = missed(ToolOptions(retry=QUICK), begun(OpenStep(), 0), "no", 1000, 0.99)
    assert known.due_ms == 1991
    assert wait_s(QUICK, known, 1500) == pytest.approx(0.491)
    assert wait_s(QUICK, known, -1_000_000) == 1
    assert wait_s(QUICK, known, 5000) == 0


def test_only_a_tool_with_a_policy_has_an_unknown_outcome():
    assert unsettled(ToolOptions(unknown="ask"), OpenStep(begun=True), "cut", 0, 0).begun
    assert not unsettled(ToolOptions(), OpenStep(begun=True), "cut", 0, 0).begun


def test_not_done_says_what_it_is():
    assert repr(NOT_DONE) == "NOT_DONE"
