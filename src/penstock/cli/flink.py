"""`penstock flink`: the app's agents as a job on Apache Flink."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import AppFile, Embedder, Json, Metrics, Model

flink_app = typer.Typer(
    help="Run the app's agents as a job on Apache Flink, between topics of Kafka.", no_args_is_help=True
)
Log = Annotated[str | None, typer.Option(help="kafka://HOST:PORT[?partitions=8&prefix=NAME]: where its topics are.")]
Parallelism = Annotated[int, typer.Option(help="How many subtasks share the keys.")]
Checkpoints = Annotated[
    str, typer.Option(help="The folder of checkpoints, or a URL of Flink's; a run goes on from the newest one there.")
]
EveryMs = Annotated[int, typer.Option("--checkpoint-every-ms", help="How often; what is emitted is seen after one.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever checkpoints there are.")]
OutOfOrder = Annotated[float, typer.Option(help="How many seconds events may be out of order in their time.")]
LateAfter = Annotated[
    float | None, typer.Option(help="Events so many seconds later than that are dead letters (default: none are).")
]
Streams = Annotated[
    bool,
    typer.Option("--streams", help="The app's streams alone; its agents run elsewhere: penstock run --streams flink."),
]
AtOnce = Annotated[
    bool,
    typer.Option(
        "--steps-at-once", help="Steps do not wait for a checkpoint: quicker; after a kill more are done again."
    ),
]
Jars = Annotated[
    str, typer.Option(help="Flink's connector for Kafka, flink-sql-connector-kafka-*.jar (or PENSTOCK_FLINK_JARS).")
]


@flink_app.command("run")
def run_on_flink(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: AppFile,
    log: Log = None,
    parallelism: Parallelism = 1,
    checkpoints: Checkpoints = "",
    checkpoint_every_ms: EveryMs = 1000,
    fresh: Fresh = False,
    out_of_order_s: OutOfOrder = 5.0,
    late_after_s: LateAfter = None,
    jars: Jars = "",
    streams: Streams = False,
    steps_at_once: AtOnce = False,
    model: Model = None,
    embedder: Embedder = None,
    metrics: Metrics = None,
) -> None:
    """Run the agents of an app as a job, on a cluster inside this process.

    Ctrl-C stops it with a savepoint beside its checkpoints; the same command goes on from there.
    """
    from penstock.cli.flink_jobs import run_file
    from penstock.flink.plan import JobOptions

    timing, more = (out_of_order_s, late_after_s), (jars, streams, not steps_at_once)
    options = JobOptions(parallelism, checkpoints, checkpoint_every_ms, fresh, *timing, *more)
    run_file(file, {"log": log, "model": model, "embedder": embedder}, options, metrics)


@flink_app.command("build")
def build_job(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: AppFile,
    out: Annotated[Path, typer.Option(help="Where the job file goes.")] = Path("job.py"),
    log: Log = None,
    parallelism: Parallelism = 1,
    checkpoints: Checkpoints = "",
    checkpoint_every_ms: EveryMs = 1000,
    out_of_order_s: OutOfOrder = 5.0,
    late_after_s: LateAfter = None,
    jars: Jars = "",
    streams: Streams = False,
    steps_at_once: AtOnce = False,
    model: Model = None,
    embedder: Embedder = None,
) -> None:
    """Write a job file, to be submitted to a cluster: flink run -py job.py -pyfs APP.PY."""
    from penstock.cli.flink_jobs import planned, write_job
    from penstock.flink.plan import JobOptions

    timing, more = (out_of_order_s, late_after_s), (jars, streams, not steps_at_once)
    options = JobOptions(parallelism, checkpoints, checkpoint_every_ms, True, *timing, *more)
    flags = {"log": log, "model": model, "embedder": embedder}
    write_job(planned(file, flags, options), flags, out)


@flink_app.command("check")
def check_job(file: AppFile, streams: Streams = False, as_json: Json = False) -> None:
    """Say what of an app a job on Flink cannot carry. It ends with 1 when there is anything."""
    from penstock.cli.flink_jobs import checked

    raise typer.Exit(checked(file, streams=streams, as_json=as_json))
