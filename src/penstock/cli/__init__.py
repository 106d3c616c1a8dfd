"""The command line. Its head is light: each command imports what it needs when it runs, so that `--help` is quick."""

import os
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.approvals import approvals_app
from penstock.cli.arguments import (
    AppFile,
    AppFileBeside,
    EventId,
    Json,
    Limit,
    MaybeAppFile,
    Model,
    RunId,
    Store,
    Tenant,
)
from penstock.cli.conforming import conformance
from penstock.cli.dead import dead_app
from penstock.cli.event_patterns import match_pattern, transform_event, try_patterns
from penstock.cli.exports import export_store, import_store
from penstock.cli.flink import flink_app
from penstock.cli.knowledge import knowledge_app
from penstock.cli.lagging import lag
from penstock.cli.measuring import bench_app
from penstock.cli.memory import memory_app
from penstock.cli.querying import query_run
from penstock.cli.questions import questions_app
from penstock.cli.queues import queues
from penstock.cli.relaying import relay
from penstock.cli.reporting import Reporting
from penstock.cli.route import route_app
from penstock.cli.rules import list_rules
from penstock.cli.schedules import schedules_app, timers_app
from penstock.cli.schema import schema_app
from penstock.cli.starting import develop, run, serve
from penstock.cli.state_machines import asl_app
from penstock.cli.storing import storage_app
from penstock.cli.streams import list_streams

app = typer.Typer(
    cls=Reporting,
    help="Durable, event-driven agents.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
runs_app = typer.Typer(help="Look at runs, also beside the app that is running.", no_args_is_help=True)
events_app = typer.Typer(help="Look at events, and try event patterns.", no_args_is_help=True)
app.add_typer(runs_app, name="runs")
app.add_typer(events_app, name="events")
events_app.command("match")(match_pattern)
events_app.command("test")(try_patterns)
events_app.command("transform")(transform_event)
events_app.command("rules")(list_rules)
app.add_typer(dead_app, name="dead")
app.add_typer(questions_app, name="questions")
app.add_typer(approvals_app, name="approvals")
runs_app.command("query")(query_run)
app.command()(serve)
app.command()(run)
app.command("dev")(develop)
app.command()(queues)
app.command("streams")(list_streams)
app.command()(conformance)
app.command()(lag)
app.command()(relay)
app.command("export")(export_store)
app.command("import")(import_store)
app.add_typer(schedules_app, name="schedules")
app.add_typer(timers_app, name="timers")
app.add_typer(asl_app, name="asl")
app.add_typer(knowledge_app, name="knowledge")
app.add_typer(memory_app, name="memory")
app.add_typer(route_app, name="route")
app.add_typer(schema_app, name="schema")
app.add_typer(storage_app, name="storage")
app.add_typer(flink_app, name="flink")
app.add_typer(bench_app, name="bench")


def main() -> None:
    """Run the command line: the entry point of `penstock`."""
    # Numpy's own threads wait by spinning, and take the cores from the engine: a turn that searches 10,000 passages cost 0.49
    # to 0.56 ms of processor time with two, and 0.28 to 0.31 with one. Read when numpy is imported, which is later.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()


def _said_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="PENSTOCK_DEBUG", help="Show where errors come from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_said_version)
    ] = False,
) -> None:
    """Durable, event-driven agents."""
    _ = debug, version  # the first is read by `Reporting`


@runs_app.command("list")
def list_runs(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: MaybeAppFile = None,
    store: Store = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    status: Annotated[
        str | None, typer.Option(help="queued, running, retrying, asking, succeeded, failed, cancelled or halted.")
    ] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List the newest runs that have ended, wait for another attempt, or are workflows under way.

    The first attempt of an agent is in the list when it has ended.
    """
    from penstock.cli import looking

    which = looking.filter_of(agent, status, tenant, limit)
    looking.show_runs(looking.place(file, store, "runs", "list"), which, as_json=as_json)


@runs_app.command("show")
def show_run(id: RunId, file: AppFileBeside = None, store: Store = None, as_json: Json = False) -> None:
    """Show a run: its status, its steps, what it returned, or why it failed."""
    from penstock.cli import looking

    run, app_file = looking.told_apart(id, file, what="RUN")
    looking.show_run(looking.place(app_file, store, "runs", "show", run), run, as_json=as_json)


@runs_app.command("fork")
def fork_run(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    id: RunId,
    file: AppFileBeside = None,
    at: Annotated[str, typer.Option(help="The first step that is executed anew (default: all are).")] = "",
    event: Annotated[str | None, typer.Option("--input", help="JSON of the event that it handles instead.")] = None,
    model: Annotated[str, typer.Option(help="The model of the app that answers in the place of all.")] = "",
    dry: Annotated[bool, typer.Option("--dry", help="Change nothing outside, and emit nothing.")] = False,
    by: Annotated[str | None, typer.Option(help="Who does it (default: the name of the user).")] = None,
    why: Annotated[str, typer.Option(help="Why: it is kept with the run.")] = "",
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Begin a new run that has what RUN recorded before a step, and executes the rest anew, for real unless --dry.

    It works beside the app that is running; when none is, the run begins at the next start.
    """
    from penstock.cli import forks, looking

    run, app_file = looking.told_apart(id, file, what="RUN")
    forks.fork_run(
        looking.place(app_file, store, "runs", "fork", run),
        run,
        forks.Asked(at, event, model, dry, by, why),
        as_json=as_json,
    )


@runs_app.command("check")
def check_runs(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: AppFile,
    store: Store = None,
    workflow: Annotated[str | None, typer.Option(help="Only runs of this workflow.")] = None,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many runs to check at most.")] = 100_000,
    save: Annotated[
        Path | None, typer.Option(help="Write the histories of the runs to this file, for tests: testing.replays.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which workflow runs under way would break under the code of now: before a deploy, beside the app that is running.

    Each run is led through its journal, and nothing is executed, written or sent. It ends with 1 when a run would halt or fail,
    has no code any more, or was not checked since there are more than --limit.
    """
    from penstock.cli.checking import check_app
    from penstock.rehearsals import Which

    which = Which(workflow=workflow, tenant=tenant, limit=limit)
    raise typer.Exit(check_app(file, which, {"store": store}, save, as_json=as_json))


@runs_app.command("follow")
def follow_run(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    id: RunId,
    file: AppFileBeside = None,
    url: Annotated[
        str | None, typer.Option(help="Where the app serves (default: http://127.0.0.1:8080, if it has the run).")
    ] = None,
    store: Store = None,
    name: Annotated[str, typer.Option(help="The stream; most runs have only the default one.")] = "",
    from_offset: Annotated[int, typer.Option("--from", min=0, help="The first offset that is wanted.")] = 0,
    tenant: Annotated[str | None, typer.Option(help="The run's tenant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each piece as a line of JSON.")] = False,
) -> None:
    """Follow what a run tells on its way: live from the app that serves it, or else what its store has.

    Exit code 1 when the run failed or was cancelled.
    """
    from penstock.cli import following

    following.follow(following.Wanted(id, name, from_offset, tenant), url, file, store, as_json=as_json)


@events_app.command("show")
def show_event(id: EventId, file: AppFileBeside = None, store: Store = None, as_json: Json = False) -> None:
    """Show an event, and the events that followed from handling it."""
    from penstock.cli import looking

    event, app_file = looking.told_apart(id, file, what="EVENT")
    looking.show_event(looking.place(app_file, store, "events", "show", event), event, as_json=as_json)


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: AppFile,
    topic: Annotated[str, typer.Option(help="The topic whose events are replayed.")],
    first: Annotated[int, typer.Option("--from", min=1, help="The first offset.")] = 1,
    last: Annotated[int, typer.Option("--to", min=1, help="The last offset.")] = 1_000_000,
    partition: Annotated[int, typer.Option(min=0, help="The partition.")] = 0,
    agent: Annotated[str | None, typer.Option(help="Only this agent (default: all that take the topic).")] = None,
    fresh_reads: Annotated[
        bool, typer.Option("--fresh-reads", help="Execute steps without effects again: models, prompts, computations.")
    ] = False,
    model: Model = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Replay what happened against the code of now, without changing anything, and compare.

    It ends with 1 when a run went another way, fails, or needs an effect that was never recorded; with 0 when all are the same.
    """
    from penstock.cli.replaying import replay_app
    from penstock.runtime.replaying import Stretch

    stretch = Stretch(topic, first, last, partition, agent, fresh_reads)
    raise typer.Exit(replay_app(file, stretch, {"store": store, "model": model}, as_json=as_json))


@app.command()
def version(as_json: Json = False) -> None:
    """Print the version."""
    import json

    from penstock import __version__

    print(json.dumps({"version": __version__}) if as_json else f"penstock {__version__}")


@app.command()
def demo(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    docs: Annotated[
        Path | None, typer.Option(help="A folder of documents, or one file (default: what this Python documents).")
    ] = None,
    ask: Annotated[list[str] | None, typer.Option(help="A question; may be given several times.")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask by yourself, in a conversation.")] = False,
    crash: Annotated[bool, typer.Option("--crash", help="Kill the process on the way, and go on.")] = False,
    as_json: Json = False,
    store: Annotated[
        Path | None,
        typer.Option(help="The file that keeps everything (default: one in .penstock for each set of documents)."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin with an empty store.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="How many of the shipped questions to ask.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every answer, not only the first ones.")] = False,
) -> None:
    """Watch a team of agents answer questions over documents, offline."""
    from penstock.demo.command import run
    from penstock.demo.options import DemoOptions

    options = DemoOptions(docs, tuple(ask or ()), interactive, crash, as_json, store, fresh, limit, everything)
    raise typer.Exit(run(options))
