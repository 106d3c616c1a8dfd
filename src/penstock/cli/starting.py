"""`penstock serve`, `run` and `dev`: an app is started. Each setting of `penstock.toml` has its flag, the same one everywhere."""

from typing import Annotated

import typer

from penstock.cli.arguments import (
    AgentHost,
    AppFile,
    Embedder,
    Host,
    JsonAtStart,
    Log,
    Metrics,
    Model,
    Objects,
    Port,
    Refiner,
    Reranker,
    Services,
    Store,
    StreamsHost,
    Vectors,
    VectorsAnswerS,
    Workers,
    as_arguments,
)


def serve(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: AppFile,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    store: Store = None,
    vectors: Vectors = None,
    vectors_answer_s: VectorsAnswerS = None,
    log: Log = None,
    model: Model = None,
    embedder: Embedder = None,
    refiner: Refiner = None,
    reranker: Reranker = None,
    objects: Objects = None,
    services: Services = None,
    as_json: JsonAtStart = False,
    workers: Annotated[
        int | None, typer.Option(help="Share store and port as so many processes (see `penstock run --help`).")
    ] = None,
    while_stdin_open: Annotated[bool, typer.Option("--while-stdin-open", hidden=True)] = False,
    inherited: Annotated[int | None, typer.Option("--inherited", hidden=True)] = None,
) -> None:
    """Run an app, and serve it over HTTP.

    Ctrl-C stops it; a second one does not wait for what is under way, which goes on at the next start.
    """
    from penstock.cli.serving import Door, serve_app, serve_workers

    door = Door(host, port, as_json=as_json, while_stdin_open=while_stdin_open, inherited=inherited)
    flags = {
        "store": store,
        "vectors": vectors,
        "vectors_answer_s": vectors_answer_s,
        "log": log,
        "model": model,
        "embedder": embedder,
        "refiner": refiner,
        "reranker": reranker,
        "objects": objects,
        "services": services,
    }
    if workers is not None:
        raise typer.Exit(serve_workers(file, door, flags, workers))
    serve_app(file, door, flags)


def run(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    file: AppFile,
    workers: Workers = None,
    store: Store = None,
    vectors: Vectors = None,
    vectors_answer_s: VectorsAnswerS = None,
    log: Log = None,
    model: Model = None,
    embedder: Embedder = None,
    refiner: Refiner = None,
    reranker: Reranker = None,
    objects: Objects = None,
    services: Services = None,
    host: AgentHost = None,
    streams: StreamsHost = None,
    metrics: Metrics = None,
    parallelism: Annotated[int, typer.Option(help="With --host flink: how many subtasks share the keys.")] = 1,
    checkpoints: Annotated[str, typer.Option(help="With --host flink: the folder of checkpoints.")] = "",
    checkpoint_every_ms: Annotated[int, typer.Option(help="With --host flink: how often.")] = 1000,
    while_stdin_open: Annotated[bool, typer.Option("--while-stdin-open", hidden=True)] = False,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,
) -> None:
    """Run an app without a door: its agents handle what comes to its store.

    With --workers each process owns a part of the keys; one that dies is replaced, and the others take over within seconds.
    With --workers 1-4 there are more of them while what waits grows, and fewer when nothing does.
    """
    from penstock.cli.working import run_app, run_workers

    flags = {
        "store": store,
        "vectors": vectors,
        "vectors_answer_s": vectors_answer_s,
        "log": log,
        "model": model,
        "embedder": embedder,
        "refiner": refiner,
        "reranker": reranker,
        "objects": objects,
        "services": services,
    }
    if host is not None and host.startswith("flink"):
        from penstock.cli.flink_jobs import run_hosted

        given = flags | {"workers": workers, "streams": streams}
        run_hosted(host, file, given, (parallelism, checkpoints, checkpoint_every_ms), metrics)
        return
    flags |= {"host": host, "streams": streams}
    if workers is not None:
        raise typer.Exit(run_workers(file, flags, workers, metrics))
    run_app(file, flags, metrics, while_stdin_open=while_stdin_open, beside=beside)


def develop(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    ctx: typer.Context,
    file: AppFile,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    store: Store = None,
    vectors: Vectors = None,
    vectors_answer_s: VectorsAnswerS = None,
    log: Log = None,
    model: Model = None,
    embedder: Embedder = None,
    refiner: Refiner = None,
    reranker: Reranker = None,
    objects: Objects = None,
    services: Services = None,
    as_json: JsonAtStart = False,
) -> None:
    """Serve an app, and start it again when a file changes.

    All files in the app's folder count, prompts too. Its state is kept.
    """
    from penstock.cli.reloading import reload_app

    flags = {
        "host": host,
        "port": str(port),
        "store": store,
        "vectors": vectors,
        "vectors_answer_s": vectors_answer_s,
        "log": log,
        "model": model,
        "embedder": embedder,
        "refiner": refiner,
        "reranker": reranker,
        "objects": objects,
        "services": services,
    }
    arguments = as_arguments(flags)
    debug = bool(ctx.find_root().params.get("debug"))
    reload_app(file, [*arguments, "--json"] if as_json else arguments, debug=debug)
