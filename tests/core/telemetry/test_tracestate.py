"""`tracestate` as W3C Trace Context, section 3.3, has it: what may be passed on, and what may not."""

import pytest

from penstock.core.telemetry.spans import STATE_CHARS_MAX, valid_state

LONG = "long=" + "x" * 200


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1 ,\tb=2,, c=!d/e", "a=1,b=2,c=!d/e"),
        ("a=b=c", ""),
        ("fw529a3039@dt=FfAAAAB0,1tenant@sys=1", "fw529a3039@dt=FfAAAAB0,1tenant@sys=1"),
        ("", ""),
        (" , ", ""),
        ("A=1", ""),
        ("1a=1", ""),
        ("a", ""),
        ("a=", ""),
        ("a=é", ""),
        ("a=1,a=2", ""),
        ("a=\x7f", ""),
        ("a=1;b=2\n", ""),
        (f"{'k' * 257}=1", ""),
        (f"a={'v' * 257}", ""),
        (",".join(f"k{each}=1" for each in range(33)), ""),
    ],
)
def test_what_is_none_is_dropped(given, passed):
    assert valid_state(given) == passed


def test_of_too_much_the_long_and_then_the_old_members_go():
    assert valid_state(",".join([LONG, LONG.replace("long", "b"), "a=1", LONG.replace("long", "c")])) == "a=1"
    many = [f"k{each:02}={'x' * 96}" for each in range(8)]
    assert valid_state(",".join(many)) == ",".join(many[:5])
    assert len(valid_state(",".join(many))) <= STATE_CHARS_MAX
