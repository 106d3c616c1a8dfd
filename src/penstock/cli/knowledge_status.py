"""`penstock knowledge status`: how the collections of a running app do, and whether that is good enough."""

from typing import Annotated, Any

import typer

from penstock.cli.arguments import Json

LAG_MAX, SEARCH_MS_MAX = 10_000, 150.0
NOT_WELL = 1


def show_status(
    url: Annotated[str, typer.Option(help="The address of the app: http://HOST:PORT.")],
    collection: Annotated[str | None, typer.Option(help="Only this collection (default: all).")] = None,
    lag_max: Annotated[int, typer.Option(min=0, help="How many events may wait for the indexer.")] = LAG_MAX,
    search_ms_max: Annotated[
        float, typer.Option(min=0, help="In how many ms 99 of 100 searches are to be answered.")
    ] = SEARCH_MS_MAX,
    as_json: Json = False,
) -> None:
    """Show lag, throughput, cache hits and the time of searches, of the worker that answers.

    It ends with 1 when more events wait than may, when searches take longer, or when vectors do not answer.
    """
    from penstock.cli.looking import print_json
    from penstock.cli.remote import asked
    from penstock.cli.tables import printable
    from penstock.errors import Missing

    found = asked(url, "/v1/knowledge")["collections"]
    shown = [each for each in found if collection in (None, each["name"])]
    if not shown:
        names = ", ".join(each["name"] for each in found) or "none"
        raise Missing(f"the knowledge collection {collection!r}", f"the app has {names}")
    alerts = {each["name"]: _alerts(each["indexing"], lag_max, search_ms_max) for each in shown}
    if as_json:
        print_json({"collections": [{**each, "alerts": alerts[each["name"]]} for each in shown]})
    else:
        for each in shown:
            print(printable(_line(each)))
            for alert in alerts[each["name"]]:
                print(printable(f"  ! {alert}"))
    raise typer.Exit(NOT_WELL if any(alerts.values()) else 0)


def _alerts(figures: dict[str, Any], lag_max: int, search_ms_max: float) -> list[str]:
    found: list[str] = []
    if figures["lag"] > lag_max:
        found.append(f"{figures['lag']:,} events wait for the indexer, more than {lag_max:,}")
    if figures["search_p99_ms"] > search_ms_max:
        found.append(f"1 of 100 searches takes {figures['search_p99_ms']:g} ms, more than {search_ms_max:g}")
    if figures["vectors_down"]:
        found.append(f"vectors do not answer, searches go by words: {figures['vectors_down']}")
    return found


def _line(each: dict[str, Any]) -> str:
    figures = each["indexing"]
    embedded = figures["cache_hits"] + figures["cache_misses"]
    cached = f"{figures['cache_hits'] / embedded:.0%}" if embedded else "none"
    return (
        f"{each['name']}: generation {each['generation']} ({each['model']}), {figures['lag']:,} events wait; "
        f"{figures['events']:,} events indexed since the start, {figures['passages_per_s']:g} passages/s, "
        f"{cached} of the texts from the cache; {figures['searches']:,} searches, "
        f"p50 {figures['search_p50_ms']:g} ms, p99 {figures['search_p99_ms']:g} ms"
    )
