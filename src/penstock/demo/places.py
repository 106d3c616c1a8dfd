"""Where the demo keeps things: one store for each set of documents, with the answers delivered from it beside it."""

import os
import shutil
from hashlib import blake2b
from pathlib import Path

from penstock.demo.options import DemoOptions

FOLDER = Path(".penstock")


def store_of(options: DemoOptions) -> Path:
    """Return the store of these documents: what is not among them is taken out of its index."""
    if options.store is not None:
        return options.store
    if options.docs is None:
        return FOLDER / "demo.db"
    path = os.fsencode(options.docs.resolve())
    return FOLDER / f"demo-{blake2b(path, digest_size=4).hexdigest()}.db"


def delivered_from(store: Path) -> Path:
    """Return the folder that notes what was delivered."""
    return store.parent / f"{store.stem}-delivered"


def remove(store: Path) -> None:
    """Remove a store with all that belongs to it."""
    for path in [*store.parent.glob(f"{store.name}*"), delivered_from(store)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
