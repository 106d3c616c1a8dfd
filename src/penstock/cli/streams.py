"""`penstock streams`: what an app's streams are made of, as a list or a picture."""

from typing import Annotated

import typer

from penstock.cli.arguments import AppFile, Json, Limit

Mermaid = Annotated[bool, typer.Option("--mermaid", help="Draw them as a Mermaid flowchart.")]
COLUMNS = (("agent", "does"), ("agent",))


def list_streams(file: AppFile, mermaid: Mermaid = False, limit: Limit = 500, as_json: Json = False) -> None:
    """List the streams of an app: what is done to events, and by which agents. Also says what keeps the app from starting."""
    import json

    from penstock.cli.loading import loaded_app
    from penstock.cli.tables import screen_width, table_lines
    from penstock.core.streams import drawing
    from penstock.wiring import topology_of

    app = loaded_app(file)
    topology_of(app.declared)
    if mermaid:
        print(drawing.mermaid(app.streams.values()))
        return
    rows = [row for source in app.streams.values() for row in drawing.rows_of(source)][:limit]
    if as_json:
        print(json.dumps([row._asdict() for row in rows]))
        return
    shown = [{"agent": row.agent, "does": row.does, "what": f"{'  ' * row.depth}{row.what}"} for row in rows]
    print("\n".join(table_lines(COLUMNS, shown, screen_width(), "what")) if shown else "none")
