"""`penstock events match`, `test` and `transform`: patterns and inputs of rules, tried on one event or on recorded cases."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import Json

Either = "as JSON, or a file that holds it"
PatternText = Annotated[str, typer.Argument(metavar="PATTERN", help=f"The event pattern {Either}.")]
EventText = Annotated[str, typer.Argument(metavar="EVENT", help=f"The event {Either}.")]
TargetText = Annotated[str, typer.Argument(metavar="TARGET", help=f"Input, InputPath or InputTransformer {Either}.")]
RuleName = Annotated[str, typer.Option(help="What <aws.events.rule-name> says.")]
RuleArn = Annotated[str, typer.Option(help="What <aws.events.rule-arn> says.")]
CaseFiles = Annotated[list[Path], typer.Argument(metavar="FILE.jsonl...", help="Cases, one JSON object a line.")]
COLUMNS = (("operator", "passed", "failed", "reasons"), ("operator", "passed", "failed"))
FAILURES_SHOWN_MAX = 20


def match_pattern(pattern: PatternText, event: EventText, as_json: Json = False) -> None:
    """Say whether an event matches an event pattern (as rules of EventBridge have), and if not, what is missing.

    Exit code 0 when it matches, 1 when it does not, 2 when the pattern is not valid: then everything that is wrong is told.
    """
    import json

    from penstock.core.patterns.documents import read_event
    from penstock.core.patterns.explaining import unmet
    from penstock.core.patterns.reading import parse_pattern

    lacking = unmet(parse_pattern(given(pattern)), read_event(given(event)))
    matches = any(not branch for branch in lacking)
    if as_json:
        told = [[{"path": each.path, "problem": each.problem} for each in branch] for branch in lacking]
        print(json.dumps({"matches": matches, "unmet": [] if matches else told}))
    elif matches:
        print("matches")
    else:
        print("does not match")
        for branch in lacking:
            for each in branch:
                values = ", ".join(json.dumps(value, default=str) for value in each.values)
                print(f"  {each.path}: {each.problem}{f': {values}' if values else ''}")
            if branch is not lacking[-1]:
                print("  or")
    raise typer.Exit(0 if matches else 1)


def transform_event(target: TargetText, event: EventText, rule_name: RuleName = "", rule_arn: RuleArn = "") -> None:
    """Print what a target of an EventBridge rule gets of an event: a constant, a part of it, or a filled template."""
    from penstock.core.patterns.documents import read_event
    from penstock.core.patterns.inputs import Rule, parse_input

    print(parse_input(read_event(given(target))).of(read_event(given(event)), Rule(rule_name, rule_arn)))


def try_patterns(files: CaseFiles, as_json: Json = False) -> None:
    """Run cases of event patterns: each says whether its event matches its pattern, or why the pattern is refused.

    A line has pattern (or pattern_text), event (or event_text), and matches or error (with error_message, if it is known).
    Prints how many passed by operator; the last line is `N passed, M failed`. Exit code 1 when one failed.
    """
    import json

    from penstock.cli.pattern_cases import by_operator, cases_in, graded
    from penstock.cli.tables import screen_width, table_lines

    results = [graded(case) for file in files for case in cases_in(file)]
    failed = [each for each in results if not each.passed]
    groups = by_operator(results)
    if as_json:
        told = [{"name": each.name, "expected": each.expected, "got": each.got} for each in failed]
        print(json.dumps({"passed": len(results) - len(failed), "failed": told, "operators": groups}))
    else:
        for each in failed[:FAILURES_SHOWN_MAX]:
            print(f"{each.name}: expected {each.expected}, got {each.got}")
        rows = [{name: str(value) for name, value in group.items()} | {"note": ""} for group in groups]
        print("\n".join(table_lines(COLUMNS, rows, screen_width(), "note")))
        print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    raise typer.Exit(1 if failed else 0)


def given(argument: str) -> str:
    """Return what an argument says, or what is in the file that it names."""
    from penstock.errors import Missing

    if argument.lstrip()[:1] in {"{", "[", '"'}:
        return argument
    path = Path(argument)
    if not path.is_file():
        raise Missing(argument, "give the JSON itself, or a file that holds it")
    return path.read_text(encoding="utf-8")
