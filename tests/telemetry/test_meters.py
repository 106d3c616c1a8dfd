from penstock.core.telemetry.meters import Counter, Histogram, counter, exposition, gauge, histogram


def test_a_histogram_counts_what_is_at_most_so_large():
    took = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        took.observe(value, "get")
    assert exposition([histogram("took_seconds", "How long.", ("app", "verb"), (took, ("shop",)))]) == (
        "# HELP took_seconds How long.\n"
        "# TYPE took_seconds histogram\n"
        'took_seconds_bucket{app="shop",verb="get",le="0.1"} 2\n'
        'took_seconds_bucket{app="shop",verb="get",le="1"} 3\n'
        'took_seconds_bucket{app="shop",verb="get",le="+Inf"} 4\n'
        'took_seconds_sum{app="shop",verb="get"} 7.65\n'
        'took_seconds_count{app="shop",verb="get"} 4\n'
    )


def test_labels_are_escaped_and_a_metric_without_any_has_no_braces():
    odd = Counter()
    odd.add('a "b"\\\n')
    odd.add('a "b"\\\n', by=2.5)
    lines = exposition(
        [
            counter("odd_total", 'Lines\nand \\ and ".', ("name",), odd.values.items()),
            gauge("up", "Up.", (), [((), 1.0)]),
        ]
    )
    assert 'odd_total{name="a \\"b\\"\\\\\\n"} 3.5' in lines.splitlines()
    assert lines.splitlines()[0] == '# HELP odd_total Lines\\nand \\\\ and ".'
    assert lines.splitlines()[-1] == "up 1"
