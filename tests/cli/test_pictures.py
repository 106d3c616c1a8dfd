from penstock.cli.pictures import BAR_CELLS, step_lines


def test_each_step_has_a_bar_from_the_end_of_the_one_before():
    first, second, third = step_lines(1000, [("look#0", 1500), ("ask#0", 2900), ("say#0", 2900)])
    assert first == f"look#0  {('━' * 8).ljust(BAR_CELLS)}  500 ms"
    assert second == f"ask#0   {' ' * 8}{'━' * 24}  1.4 s"
    assert third.count("━") == 1
    assert third.endswith("0 ms")


def test_times_that_go_back_or_stand_still_are_drawn_too():
    assert step_lines(1000, []) == []
    (line,) = step_lines(1000, [("a#0", 1000)])
    assert line.endswith("0 ms")
    lines = step_lines(5000, [("a#0", 4000), ("b#0", 200_000)])
    assert lines[1].endswith("3.2 min")
    assert {len(line.partition("  ")[2]) > BAR_CELLS for line in lines} == {True}
