"""The commands for knowledge: `penstock knowledge`."""

import typer

from penstock.cli.evaluating import evaluate

knowledge_app = typer.Typer(help="What can be searched: look at it, change it, measure it.", no_args_is_help=True)
knowledge_app.command("evaluate")(evaluate)
