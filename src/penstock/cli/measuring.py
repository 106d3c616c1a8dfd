"""`penstock bench`: how much this machine carries."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.arguments import Json

bench_app = typer.Typer(help="Measure this machine.", no_args_is_help=True)


@bench_app.callback()
def bench() -> None:
    """Measure this machine."""


@bench_app.command("turns")
def bench_turns(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    in_flight: Annotated[int, typer.Option(help="How many turns are under way at once.")] = 64,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 10.0,
    warmup: Annotated[float, typer.Option(help="How long to run before that.")] = 2.0,
    as_json: Json = False,
    store: Annotated[
        str | None,
        typer.Option(help="sqlite:PATH, postgresql://... or redis://... (default: a new file in the working folder)."),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            help="The broker that events go over: kafka://HOST:PORT, nats://... or redis://..., with a new store; "
            "its topics are removed again, unless it has a ?prefix=NAME."
        ),
    ] = None,
    profile: Annotated[Path | None, typer.Option(help="Write what cProfile saw to this file.")] = None,
) -> None:
    """Measure durable turns of five journaled steps."""
    from penstock.bench.load import Plan
    from penstock.bench.turns import main as turns

    plan = Plan(in_flight, seconds, warmup)
    raise typer.Exit(turns(plan, store=store, log=log, profile=profile, json=as_json))
