"""Runs stream enrichment with customers' messages, kills it in the middle, and shows that it holds what it says, with figures.

python examples/stream_enrichment/run_enrichment.py
python examples/stream_enrichment/run_enrichment.py --stack kafka-flink-ray
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from enrichment_beginning import NoStack
from enrichment_input import CORPUS, conversations
from enrichment_stack import STACKS, Embedded, install
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

HERE = Path(__file__).parent
LIFE = HERE / "enrichment_life.py"
KILL_AT = 0.4  # of the answers
AMID_AT = 0.7
LIFE_S_MAX = 900
POLICY = CORPUS / "tau_retail_policy.md"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--stack",
        choices=list(STACKS),
        default="embedded",
        help="where it runs: in one process, or on servers that are started for it (then it runs embedded too, and all answers "
        "must be equal)",
    )
    parser.add_argument("--messages", type=int, default=400, help="so many messages at most (%(default)s)")
    parser.add_argument("--no-kill", action="store_true", help="do not kill it in the middle")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the stores there, to look at them")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each check")
    return parser.parse_args()


class Life:
    """One process that runs the app until it has told what came of all messages, or is killed."""

    def __init__(self, stack: Embedded, messages: int, log: Path) -> None:
        handbook = {"ENRICHMENT_HANDBOOK": str(POLICY)} if POLICY.is_file() else {}
        with log.open("a") as written:
            self._process = subprocess.Popen(
                [stack.python, str(LIFE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                env={**os.environ, **handbook, **stack.variables},
            )
        self._log = log
        self._late = threading.Timer(LIFE_S_MAX, self._process.kill)
        self._late.start()
        assert self._process.stdin is not None
        given = {"settings": stack.settings, "messages": messages, "day_s_max": stack.day_s_max}
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()

    def told(self):
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # what else is said there is others'
                yield json.loads(line)

    def end(self) -> None:
        self._late.cancel()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for each in (self._process.stdin, self._process.stdout):
            if each is not None:
                each.close()

    def why(self) -> str:
        return self._log.read_text()[-1500:]


def run(name: str, given: argparse.Namespace, folder: Path, console: Console) -> tuple[dict, int]:
    """Return what came of all messages, and how many answers there were when it was killed."""
    with (
        Progress(console=console, transient=True) as progress,
        STACKS[name](folder, progress.console.log) as stack,
    ):
        bar, killed_at = progress.add_task(name, total=None), 0
        for is_last in (True,) if given.no_kill else (False, True):
            life, total, is_amid = Life(stack, given.messages, folder / f"{name}.log"), 0, given.no_kill
            try:
                for told in life.told():
                    total, answered = told.get("total", total), told.get("answered", 0)
                    progress.update(bar, total=total or None, completed=answered)
                    if not is_last and total and answered >= KILL_AT * total:
                        killed_at = answered
                        break  # SIGKILL
                    if is_last and not is_amid and total and answered >= AMID_AT * total:
                        is_amid = True
                        stack.amid()
                    if "outcome" in told:
                        more = stack.told()
                        return told["outcome"] | more | {
                            "dead": told["outcome"]["dead"] + more.get("dead", [])
                        }, killed_at
                else:
                    raise NoStack(f"the app ended early: {life.why()}")
            finally:
                life.end()
            stack.app_killed()
    raise NoStack("the app never came to an end")


def checks(outcome: dict, killed_at: int, origin: str) -> list[tuple[str, bool, str]]:
    """Return what it promises, whether that holds, and the figures."""
    count, answered = outcome["sent"], outcome["answered"]
    pace = f"{answered / outcome['took_s']:,.0f} requests/s" if not killed_at else "killed once on the way"
    return [
        (
            "every request is answered once",
            answered == count == outcome["received"] == len(outcome["answers"]),
            f"{count:,} messages ({origin}), {answered:,} answers; {pace}",
        ),
        (
            "over SIGKILL",
            not outcome["dead"],
            (
                f"killed after {killed_at:,} answers: lost {count - len(outcome['answers'])}, doubled "
                f"{answered - len(outcome['answers'])}; dead letters {len(outcome['dead'])}"
            ),
        ),
        ("each session in its order", outcome["in_order"], "answers stand in the order of the session's requests"),
        (
            "one origin from request to answer",
            outcome["origins"] == count and not outcome["untraced"],
            f"{outcome['origins']:,} origins, {outcome['untraced']} events without one",
        ),
        (
            "no personal data after the first step",
            not outcome["personal"],
            f"in {outcome['personal']} enriched requests",
        ),
        (
            "contexts that are like it",
            bool(outcome["with_similar"]) and outcome["contexts"] == count,
            f"{outcome['contexts']:,} indexed; {outcome['with_similar']:,} answers had some of earlier days",
        ),
        (
            "embeddings and answers are kept",
            bool(outcome["from_cache"]),
            (
                f"{outcome['from_cache']:,} answers from the cache; {outcome['embeddings_kept']:,} embeddings of "
                f"{outcome['embeddings_kept'] + outcome['embedded']:,} in the last life"
            ),
        ),
        (
            "sessions by event time",
            outcome["sessions"] == outcome["sessions_by_hand"] > 0 and not outcome["late"],
            f"{outcome['sessions']:,} have closed, {outcome['sessions_by_hand']:,} by hand; late {outcome['late']}",
        ),
        (
            "a log of hashes",
            outcome["hashes"] == count and not outcome["broken_links"],
            f"{outcome['hashes']:,} lines, {len(outcome['broken_links'])} broken links",
        ),
    ]


def of_cluster(told: dict, killed_at: int) -> tuple[str, bool, str]:
    """Return whether Flink and Ray lost processes as they were to, and went on."""
    count, workers = told["processes_of_job"], told["workers_of_ray"]
    if not killed_at:
        return "streams on Flink, the agent on Ray", True, "nothing was killed"
    said = (
        f"the job, {count} processes, was killed with the app, and taken again after {told['job_back_s']:.0f} s; later one of "
        f"Flink's workers, and one of Ray's {workers}"
    )
    holds = bool(count and told["worker_of_flink"] and told["worker_of_ray"])
    return "streams on Flink, the agent on Ray, over SIGKILL", holds, said


def shown(found: list[tuple[str, bool, str]], console: Console, *, as_json: bool) -> int:
    for title, holds, figures in found:
        if as_json:
            print(json.dumps({"check": title, "holds": holds, "said": figures}), flush=True)
        else:
            mark = "[green]holds[/]" if holds else "[red bold]BROKEN[/]"
            console.print(f"{mark}  [bold]{escape(title)}[/]\n       {escape(figures)}", highlight=False)
    return sum(not holds for _, holds, _ in found)


def main() -> int:
    given = arguments()
    console = Console(stderr=given.json, emoji=False)
    if given.stack != "embedded":
        install(console.log)  # and begins again
    folder = given.keep or Path(tempfile.mkdtemp(prefix="stream-enrichment-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("*.db")):
        print(f"{folder} holds stores already: give another folder to --keep, or remove them", file=sys.stderr)
        return 2
    outcome, killed_at = run(given.stack, given, folder, console)
    found = checks(outcome, killed_at, conversations()[0])
    if given.stack != "embedded":
        other, _ = run("embedded", given, folder, console)
        differing = [each for each in other["answers"] if other["answers"][each] != outcome["answers"].get(each)]
        same = len(other["answers"]) - len(differing)
        (folder / "answers.json").write_text(
            json.dumps({given.stack: outcome["answers"], "embedded": other["answers"]})
        )
        found.append(of_cluster(outcome["cluster"], killed_at))
        found.append(
            (f"equal to embedded ({given.stack})", not differing, f"{same:,} answers equal, {len(differing)} not")
        )
    broken = shown(found, console, as_json=given.json)
    console.print(f"\n{len(found) - broken} of {len(found)} hold; the stores are in {folder}", highlight=False)
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoStack as error:
        print(f"run_enrichment: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
