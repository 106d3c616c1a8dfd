"""Runs the knowledge pipeline as others would use it, and shows that it holds what it says, with figures.

python examples/knowledge_pipeline/prove_pipeline.py
"""

import argparse
import json
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from pipeline_beginning import NoStack
from pipeline_input import QUESTIONS, QUESTIONS_ON_A_STACK, questions_about, read_documents
from pipeline_service import Failed, Service
from pipeline_stack import kafka_milvus
from pipeline_steps import STEPS, Stage
from rich.console import Console
from rich.markup import escape

from penstock.errors import PenstockError


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--docs", type=Path, help="your own documents (default: what your Python carries of its library)"
    )
    parser.add_argument("--limit", type=int, help="take so many documents (default: all)")
    parser.add_argument(
        "--questions", type=int, help=f"so many searches are compared ({QUESTIONS}; on a stack {QUESTIONS_ON_A_STACK})"
    )
    parser.add_argument(
        "--embedder", default="spelling", help="the model to change to: spelling, minilm, openai:NAME, ..."
    )
    parser.add_argument(
        "--load-s", type=float, default=4.0, help="how long the load goes on beside its build (%(default)s)"
    )
    parser.add_argument(
        "--stack",
        choices=["embedded", "kafka-milvus"],
        default="embedded",
        help="where events and vectors lie: in one file, or on servers that are started for it (%(default)s)",
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the store there, to look at it")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each step")
    return parser.parse_args()


def prove(stage: Stage, console: Console, *, as_json: bool = False) -> int:
    """Take all steps, say what each came to, and return how many did not hold."""
    broken = 0
    for title, step in STEPS.items():
        began = perf_counter()
        with console.status(title) as status:
            stage.say = lambda text, title=title, status=status: status.update(f"{escape(title)}: {escape(text)}")
            try:
                holds, said = True, step(stage)
            except (AssertionError, Failed, OSError, LookupError, ValueError) as error:
                holds, said = False, f"{type(error).__name__}: {error}"
        broken += not holds
        took_s = perf_counter() - began
        if as_json:
            print(json.dumps({"step": title, "holds": holds, "said": said, "seconds": round(took_s, 2)}), flush=True)
        else:
            mark = "[green]holds[/]" if holds else "[red bold]BROKEN[/]"
            console.print(
                f"{mark}  [bold]{escape(title)}[/] [dim]({took_s:.1f} s)[/]\n       {escape(said)}", highlight=False
            )
    return broken


def main() -> int:
    given = arguments()
    console = Console(stderr=given.json, emoji=False)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="knowledge-pipeline-"))
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "pipeline.db"
    if store.exists():
        print(f"{store} is there already: give another folder to --keep, or remove it", file=sys.stderr)
        return 2
    began = perf_counter()
    with console.status("reading") as status:
        documents = read_documents(given.docs, given.limit, lambda text: status.update(f"reading: {text}"))
    with ExitStack() as servers:
        stack = servers.enter_context(kafka_milvus(console.log)) if given.stack == "kafka-milvus" else {}
        service = servers.enter_context(Service(store, stack))
        console.print(
            f"penstock serves {service.url} (its API: {service.url}/docs), the store is {store}, its log {service.log}",
            highlight=False,
        )
        count = given.questions or (QUESTIONS_ON_A_STACK if stack else QUESTIONS)
        stage = Stage(service, documents, questions_about(documents, count), given.embedder, given.load_s)
        broken = prove(stage, console, as_json=given.json)
    took_s = perf_counter() - began
    console.print(f"\n{len(STEPS) - broken} of {len(STEPS)} hold, in {took_s:.0f} s", highlight=False)
    return 1 if broken else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the service is stopped, too
    try:
        sys.exit(main())
    except (PenstockError, Failed, NoStack) as error:
        sys.exit(f"prove_pipeline: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
