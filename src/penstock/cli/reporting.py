"""How the command line says what went wrong: one clear message, and no traceback unless it is asked for."""

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from penstock.cli.loading import BrokenFile
from penstock.errors import PenstockError

FAILED, INTERRUPTED = 2, 130


class Reporting(TyperGroup):
    """A group of commands that reports our errors, and those in the user's file: exit code 2, and 130 after Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (PenstockError, BrokenFile) as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            else:
                print(f"penstock: {error}", file=sys.stderr)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(INTERRUPTED) from error
