"""The depot of one life, in a file of its own: hosts execute an app's file, and it says where the outside is."""

from pathlib import Path
from typing import Final

from penstock.app import App
from penstock.testing.conformance.depot import depot
from penstock.testing.outside import Outside

FILE: Final = '''"""The app of a conformance test, in its life {life}, as workers of a host execute it."""

from pathlib import Path

from penstock.testing.conformance.depot import depot
from penstock.testing.outside import Outside

folder = Path({folder!r})
app = depot(Outside(folder, {life}), folder)
'''


def depot_of(folder: Path, life: int) -> App:
    """Return the app of a life, and write the file that workers of a host execute in its place."""
    file = folder / f"life_{life}.py"
    file.write_text(FILE.format(folder=str(folder), life=life), encoding="utf-8")
    app = depot(Outside(folder, life), folder)
    app.source = str(file)
    return app
