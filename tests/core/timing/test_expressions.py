"""What is a schedule and what is none: AWS's own verdicts, and each thing that is wrong said with where it is."""

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.timing.schedules import RATE_DAYS_MAX, TEXT_LENGTH_MAX, At, Cron, Rate, parse_schedule
from penstock.errors import Invalid

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / os.environ.get("PENSTOCK_CORPUS", "../shared/corpus") / "events" / "schedule_expressions.json"
EXPRESSIONS = json.loads(CORPUS.read_text(encoding="utf-8")) if CORPUS.is_file() else {}
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
needs_corpus = pytest.mark.skipif(not EXPRESSIONS, reason="NO CORPUS: set PENSTOCK_CORPUS to the folder of the corpora")


def recorded(*kinds):
    return [text for kind in kinds for text in EXPRESSIONS.get(kind, [])]


def paths(text):
    with pytest.raises(Invalid) as caught:
        parse_schedule(text)
    assert all(each.problem and each.hint for each in caught.value.findings)
    return [each.path for each in caught.value.findings]


@needs_corpus
@pytest.mark.parametrize("text", recorded("valid", "documented_valid"))
def test_what_aws_accepts_is_a_schedule(text):
    assert isinstance(parse_schedule(text), Rate | Cron)


@needs_corpus
@pytest.mark.parametrize("text", recorded("invalid"))
def test_what_aws_refuses_is_refused_with_a_place_a_problem_and_a_hint(text):
    assert paths(text)


@needs_corpus
def test_the_corpus_has_both_verdicts():
    assert len(recorded("valid")) >= 17
    assert len(recorded("invalid")) >= 22


@pytest.mark.parametrize(
    ("text", "interval_ms"),
    [
        ("rate(1 minute)", MINUTE_MS),
        ("rate(90 minutes)", 90 * MINUTE_MS),
        ("rate(2 hours)", 2 * HOUR_MS),
        ("rate(1 day)", DAY_MS),
        (f"rate({RATE_DAYS_MAX} days)", RATE_DAYS_MAX * DAY_MS),
    ],
)
def test_a_rate_has_the_interval_that_it_says(text, interval_ms):
    assert parse_schedule(text, start_ms=7) == Rate(interval_ms, 7)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cron(0 0 ? JAN-MAR 2-6 *)", "cron(0 0 ? 1,2,3 mon-fri *)"),
        ("cron(0/20 22-2 * * ? *)", "cron(0,20,40 0,1,2,22,23 * * ? *)"),
        ("cron(0 0 ? NOV-FEB FRI-MON *)", "cron(0 0 ? 1,2,11,12 1,2,6,7 *)"),
        ("cron(0 0 ? * L *)", "cron(0 0 ? * SAT *)"),
        ("cron(0 0 ? * fril *)", "cron(0 0 ? * 6L *)"),
        ("cron(0 0 lw * ? *)", "cron(0 0 LW * ? *)"),
        ("cron(0 0 ? * MON#2 *)", "cron(0 0 ? * 2#2 *)"),
        ("cron(0  0 1 1 ? */100)", "cron(00 00 01 01 ? 1970,2070,2170)"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * 5-7", "0 0 * * FRI,SAT,SUN"),
        ("0 0 * * 6-1", "0 0 * * SAT-MON"),
        ("0 0 * * 7/2", "0 0 * * 0,2,4,6"),
        ("0 0 * * MON-FRI/2", "0\t0 * *  1,3,5"),
        ("*/15 8-17/3 1 * *", "0,15,30,45 8,11,14,17 1 1-12 *"),
    ],
)
def test_there_are_two_ways_to_say_it(one, other):
    assert parse_schedule(one) == parse_schedule(other)


def test_the_weekdays_of_crontab_begin_with_0_and_those_of_eventbridge_with_1():
    eventbridge, classic = parse_schedule("cron(0 0 ? * 2 *)"), parse_schedule("0 0 * * 1")
    assert isinstance(eventbridge, Cron)
    assert isinstance(classic, Cron)
    assert eventbridge.days[0] == classic.days[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/90 5-x 32 FOO 6L", ["minutes", "hours", "day-of-month", "day-of-week", "month"]),
        ("cron(60 24 0 13 ? 1969)", ["day-of-month", "minutes", "hours", "month", "year"]),
        ("cron(0,61,,5 0 1 1 ? *)", ["minutes[1]", "minutes[2]"]),
        ("cron(0 0 ? 1 ? *)", ["day-of-week"]),
        ("cron(0 0 1 1 MON *)", ["day-of-week"]),
        ("cron(0 0 1W,15W * ? *)", ["day-of-month"]),
        ("cron(0 0 1,L * ? *)", ["day-of-month"]),
        ("cron(0 0 L-31 * ? *)", ["day-of-month"]),
        ("cron(0 0 L-0 * ? *)", ["day-of-month"]),
        ("cron(0 0 32W * ? *)", ["day-of-month"]),
        ("cron(0 0 ? * 3#1,6#3 *)", ["day-of-week"]),
        ("cron(0 0 ? * 2L,6L *)", ["day-of-week"]),
        ("cron(0 0 ? * 3#6 *)", ["day-of-week"]),
        ("cron(0 0 ? * 8L *)", ["day-of-week"]),
        ("cron(0 0 ? * 0 *)", ["day-of-week"]),
        ("cron(0 0 ?,1 * ? *)", ["day-of-month[0]"]),
        ("cron(? 0 * * ? *)", ["minutes"]),
        ("cron(0/0 0 * * ? *)", ["minutes"]),
        ("cron(/5 0 * * ? *)", ["minutes"]),
        ("cron(*-5 0 * * ? *)", ["minutes"]),
        ("cron(5-#2 0 * * ? *)", ["minutes"]),
        ("cron(0 L * * ? *)", ["hours"]),
        ("cron(0 0 * * ? 2030-2020)", ["year"]),
        ("cron(0 10 * * ?)", ["(whole)"]),
        ("cron( 0 10 * * ? *)", ["(whole)"]),
        ("cron(0 10 * * ?", ["(whole)"]),
        ("CRON(0 10 * * ? *)", ["(whole)"]),
        ("0 10 * * ? *", ["(whole)"]),
        ("0 0 ? * *", ["day-of-month"]),
        ("0 0 L * *", ["day-of-month"]),
        ("0 0 * * 8", ["day-of-week"]),
        (" 0 0 * * *", ["(whole)"]),
        ("0 0 * * \u017fun", ["(whole)"]),
        ("@daily", ["(whole)"]),
        ("", ["(whole)"]),
        ("0" * (TEXT_LENGTH_MAX + 1), ["(whole)"]),
        ("rate(x years)", ["value", "unit"]),
        ("rate(5  minutes)", ["(whole)"]),
        ("rate(\u0665 minutes)", ["(whole)"]),
        (f"rate({RATE_DAYS_MAX + 1} days)", ["value"]),
        ("at(2026-13-30T25:00:61)", ["month", "hour", "second"]),
        ("at(2026-02-29T12:00:00)", ["day"]),
        ("at(1969-12-31T12:00:00)", ["year"]),
        ("at(2026-01-31 12:00:00)", ["(whole)"]),
        ("at(2026-01-31T12:00:00Z)", ["(whole)"]),
    ],
)
def test_each_thing_that_is_wrong_is_said_with_its_place(text, expected):
    assert paths(text) == expected


def test_a_finding_says_what_to_write():
    with pytest.raises(Invalid, match=r"write cron\(0 10 \* \* \? \*\)"):
        parse_schedule("0 10 * * ? *")
    with pytest.raises(Invalid, match=r"write rate\(1 hour\)"):
        parse_schedule("rate(1 hours)")
    with pytest.raises(Invalid, match=r"'dummy' is not known \(use 0-23\)"):
        parse_schedule("cron(0 dummy ? * MON-FRI *)")
    with pytest.raises(Invalid, match="L, W and # are for the day fields"):
        parse_schedule("0 0 * * 6L")


@given(st.text(st.sampled_from("0123456789*/-,?LW# \tMONrateconi()T:\u0131"), max_size=40) | st.text(max_size=40))
def test_any_text_is_a_schedule_or_refused(text):
    for each in (text, f"cron({text})", f"rate({text})", f"at({text})"):
        with contextlib.suppress(Invalid):
            assert isinstance(parse_schedule(each), Rate | Cron | At)
