"""`penstock schedules` and `penstock timers`: what happens again and again, and what waits for its time."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from penstock.cli.arguments import AppFile, Json, Limit, MaybeAppFile, Store, Tenant, Url

schedules_app = typer.Typer(help="Look at schedules, pause and trigger them.", no_args_is_help=True)
timers_app = typer.Typer(help="Look at what waits for its time.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]
Expression = Annotated[str, typer.Argument(metavar="EXPRESSION", help="'rate(5 minutes)', 'cron(0 3 * * ? *)', ...")]
Count = Annotated[int, typer.Option(min=1, max=1000, help="How many due times.")]
Zone = Annotated[str, typer.Option("--timezone", help="An IANA name, as Europe/Berlin.")]


@schedules_app.command("list")
def list_schedules(
    file: AppFile, store: Store = None, tenant: Tenant = None, limit: Limit = 50, as_json: Json = False
) -> None:
    """List the schedules of an app, with where they are and when each is due next."""
    from penstock.cli import timing

    timing.show_schedules(file, store, tenant, limit, as_json=as_json)


@schedules_app.command("show")
def show_schedule(file: AppFile, name: Name, store: Store = None, count: Count = 5, as_json: Json = False) -> None:
    """Show a schedule: its next due times, and what was left out."""
    from penstock.cli import timing

    timing.show_schedule(file, store, name, count, as_json=as_json)


@schedules_app.command("next")
def next_firings(expression: Expression, count: Count = 5, timezone: Zone = "UTC", as_json: Json = False) -> None:
    """Say when an expression is due next, without any app."""
    from penstock.cli import timing

    timing.show_next(expression, timezone, count, as_json=as_json)


@schedules_app.command("pause")
def pause_schedule(file: AppFile, name: Name, store: Store = None, url: Url = None) -> None:
    """Have a schedule fire no more until it is resumed; with --url while its app runs."""
    _say(file, name, store, url, "pause")


@schedules_app.command("resume")
def resume_schedule(file: AppFile, name: Name, store: Store = None, url: Url = None) -> None:
    """Have a paused schedule go on with its next due time; with --url while its app runs."""
    _say(file, name, store, url, "resume")


@schedules_app.command("trigger")
def trigger_schedule(file: AppFile, name: Name, store: Store = None, url: Url = None) -> None:
    """Have a schedule fire once now; with --url while its app runs."""
    _say(file, name, store, url, "trigger")


@timers_app.command("list")
def list_timers(
    file: MaybeAppFile = None, store: Store = None, tenant: Tenant = None, limit: Limit = 50, as_json: Json = False
) -> None:
    """List what waits for its time, the soonest first."""
    from penstock.cli import timing

    timing.show_timers(file, store, tenant, limit, as_json=as_json)


def _say(file: Any, name: str, store: str | None, url: str | None, word: str) -> None:
    from penstock.cli import timing

    plan = timing.plan_of(file, name)
    if url is not None:
        from penstock.cli.remote import posted

        posted(url, f"/v1/schedules/{quote(name)}/{word}", None, tenant=plan.tenant)
    else:
        import asyncio

        asyncio.run(timing.said(file, store, plan, word))
    typer.echo(f"{word}: {name}")
