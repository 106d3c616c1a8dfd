"""Arguments and options that several commands have."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

AppFile = Annotated[Path, typer.Argument(metavar="APP.PY", help="The Python file that defines the app.")]
MaybeAppFile = Annotated[Path | None, typer.Argument(metavar="APP.PY", help="The app whose store to look at.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as EVENT:AGENT.")]
EventId = Annotated[str, typer.Argument(metavar="EVENT", help="The event's id.")]
AppFileBeside = Annotated[
    str | None, typer.Argument(metavar="APP.PY", help="The app whose store to look at; it may also come first.")
]
Host = Annotated[str, typer.Option(help="The address to listen at.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at; 0: any that is free.")]
Store = Annotated[
    str | None, typer.Option(help="sqlite:PATH, postgresql://..., redis://... or memory: (default: .penstock/NAME.db).")
]
Model = Annotated[
    str | None, typer.Option(help="offline:extractive, openai:NAME, ollama:NAME, http://HOST/v1#NAME, ...")
]
Embedder = Annotated[str | None, typer.Option(help="static, minilm, openai:NAME or sentence-transformers:NAME.")]
Vectors = Annotated[
    str | None,
    typer.Option(help="Where vectors lie, if not in the store: milvus://HOST:PORT, qdrant://..., pinecone:INDEX, ..."),
]
VectorsAnswerS = Annotated[
    str | None,
    typer.Option(help="Seconds that a search waits for vectors elsewhere, before it goes by words alone (3)."),
]
Refiner = Annotated[
    str | None, typer.Option(help="A finer embedder that follows in the background: minilm, openai:NAME, ...")
]
Reranker = Annotated[
    str | None, typer.Option(help="What judges the best of each search anew: words, minilm, cohere:NAME, ...")
]
Objects = Annotated[
    str | None,
    typer.Option(help="Where Maps of state machines read and write: file:FOLDER, s3: or s3:http://HOST:PORT."),
]
Services = Annotated[
    str | None,
    typer.Option(
        help="Who carries out what state machines call: aws, aws:http://..., sqs=aws, ... (default: penstock)."
    ),
]
Log = Annotated[
    str | None, typer.Option(help="The broker that events go over: kafka://HOST:PORT, nats://..., redis://...")
]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        "--metrics-port",
        metavar="[HOST:]PORT",
        envvar="PENSTOCK_METRICS",
        help="Say how it does: /metrics, /healthz, /readyz (at 127.0.0.1). Each worker has a port: this one, and the next.",
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        metavar="N|MIN-MAX",
        help="Share the store as so many processes, and with those on other machines. MIN-MAX: as many as what waits asks for.",
    ),
]
AgentHost = Annotated[
    str | None,
    typer.Option(
        "--host",
        help="Where handlers are executed: ray://HOST:PORT (Ray Client), ray:HOST:PORT, or flink (a job; default: here).",
    ),
]
StreamsHost = Annotated[
    str | None,
    typer.Option("--streams", help="flink: the app's streams are a job beside this (penstock flink run --streams)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
JsonAtStart = Annotated[bool, typer.Option("--json", help="Say where it is as a line of JSON: app, url, pid, store.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many to show at most.")]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant's (default: all).")]
OneTenant = Annotated[str, typer.Option(help="Whose run it is.")]
Url = Annotated[str | None, typer.Option(help="The address of the app, while it runs: http://HOST:PORT.")]
By = Annotated[str, typer.Option(help="Who says so; it is kept with the run.")]


def as_arguments(flags: Mapping[str, str | None]) -> list[str]:
    """Return settings as they are typed: what another process of the command line is started with."""
    given = {f"--{name.replace('_', '-')}": value for name, value in flags.items() if value is not None}
    return [part for name, value in given.items() for part in (name, value)]
