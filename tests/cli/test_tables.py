"""Tables and fields that fit the width there is."""

import pytest

from penstock.cli.tables import field_lines, table_lines

FORMS = (("run", "agent", "when"), ("run", "when"), ("run", "at"))
ID = "01M7ZM8SDXAWS56EBGAZ54MNDS:worker"


def row(reason="", run=ID):
    return {"run": run, "agent": "worker", "when": "2026-11-21 17:55:03", "at": "11-21 17:55", "reason": reason}


def test_where_nobody_limits_the_width_a_row_is_a_line_without_blanks_at_its_end():
    lines = table_lines(FORMS, [row("x" * 300), row()], None, "reason")
    assert lines[0].split() == ["run", "agent", "when", "reason"]
    assert lines[1].endswith("x" * 300)
    assert lines[2].endswith("17:55:03")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (110, ["run", "agent", "when", "reason"]),
        (70, ["run", "agent", "when"]),
        (56, ["run", "when"]),
        (46, ["run", "at"]),
    ],
)
def test_a_narrower_screen_gets_fewer_columns(width, names):
    lines = table_lines(FORMS, [row("it was too late for that, " * 9)], width, "reason")
    assert lines[0].split() == names
    assert all(len(line) <= width for line in lines)
    assert ID in lines[1]
    assert "it was too late" in " ".join(lines)


def test_an_id_is_cut_last_and_keeps_its_end():
    _, line = table_lines(FORMS, [row()], 30, "reason")
    assert line.split()[0] == f"...{ID[-14:]}"
    assert len(line) <= 30


def test_no_text_steers_the_terminal():
    (_, line) = table_lines(FORMS, [row("\x1b[2Jgone")], 200, "reason")
    assert "\x1b" not in line
    assert field_lines({"reason": "a\x07b"}, None) == ["reason  a b"]


def test_a_character_of_two_cells_counts_as_two():
    lines = table_lines(FORMS, [row(run="東京"), row(run="abcd")], None, "reason")
    assert lines[1].index("worker") == lines[2].index("worker") - 2


def test_a_long_field_goes_on_below_itself():
    lines = field_lines({"status": "failed", "reason": "word " * 30}, 40)
    assert lines[0] == "status  failed"
    assert lines[1].startswith("reason  word")
    assert lines[2].startswith("        word")
    assert all(len(line) <= 40 and line == line.rstrip() for line in lines)


def test_a_field_of_several_lines_keeps_them():
    assert field_lines({"steps": "a\nb"}, None) == ["steps  a", "       b"]
