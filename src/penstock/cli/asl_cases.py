"""`penstock asl test`: recorded cases of the States Language, run and counted by group."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from penstock.cli.arguments import Json

if TYPE_CHECKING:
    from penstock.testing.asl_cases import Verdict

CaseFiles = Annotated[list[Path], typer.Argument(metavar="FILE.jsonl...", help="Cases, one JSON object a line.")]
COLUMNS = (
    ("group", "passed", "failed", "cause", "events", "io", "inspection"),
    ("group", "passed", "failed", "cause", "events", "io"),
    ("group", "passed", "failed"),
)
FAILURES_SHOWN_MAX, SHOWN_CHARS_MAX = 20, 400


def try_machines(files: CaseFiles, as_json: Json = False) -> None:
    """Run recorded cases: executions, refusals and diagnostics of definitions, verdicts of other validators.

    Prints what failed, and a table by group: how many passed (status, and output or error), and in how many of those that
    record it the cause, the types of the events, and the states' inputs and outputs are the recorded ones. The last line
    is `N passed, M failed`. Exit code 1 when one failed.
    """
    import json

    from penstock.cli.case_files import read_cases
    from penstock.cli.tables import screen_width, table_lines
    from penstock.testing.asl_cases import graded

    results = [graded(case) for file in files for case in read_cases(file, _case)]
    failed = [each for each in results if not each.passed]
    groups = by_group(results)
    average = sum(each["passed"] / (each["passed"] + each["failed"]) for each in groups) / max(1, len(groups))
    if as_json:
        told = [{"name": each.name, "expected": each.expected, "got": each.got} for each in failed]
        passed = len(results) - len(failed)
        print(json.dumps({"passed": passed, "failed": told, "groups": groups, "macro_average": average}))
    else:
        for each in failed[:FAILURES_SHOWN_MAX]:
            print(f"{each.name}: expected {each.expected[:SHOWN_CHARS_MAX]}, got {each.got[:SHOWN_CHARS_MAX]}")
        rows = [{name: _cell(group.get(name)) for name in (*COLUMNS[0], "note")} for group in groups]
        print("\n".join(table_lines(COLUMNS, rows, screen_width(), "note")))
        print(f"average over {len(groups)} groups: {average:.2%}")
        print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    raise typer.Exit(1 if failed else 0)


def by_group(results: "Sequence[Verdict]") -> list[dict[str, Any]]:
    """Return passed and failed for each group, and for each level in how many of the cases that ask for it we agree."""
    from penstock.testing.asl_cases import LEVELS

    rows: list[dict[str, Any]] = []
    for group in sorted({each.group for each in results}):
        here = [each for each in results if each.group == group]
        passed = sum(each.passed for each in here)
        row: dict[str, Any] = {"group": group, "passed": passed, "failed": len(here) - passed}
        for level in LEVELS:
            asked = [each.levels[level] for each in here if level in each.levels]
            row |= {level: [sum(asked), len(asked)]} if asked else {}
        rows.append(row)
    return rows


def _cell(value: Any) -> str:
    return "" if value is None else " of ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]


def _case(line: str) -> dict[str, Any]:
    import json

    from penstock.errors import Finding, Invalid

    try:
        case: object = json.loads(line)
    except ValueError as error:
        raise Invalid("the line", (Finding("/", f"is not JSON: {error}"),)) from error
    if not isinstance(case, dict) or not {"expect", "valid"} & case.keys():
        raise Invalid("the line", (Finding("/", "is no case: it has no expect"),))
    return cast("dict[str, Any]", case)
