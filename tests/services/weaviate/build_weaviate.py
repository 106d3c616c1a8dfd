"""Build the Weaviate of the tests where there is none yet: `make test` does so first. It takes Go, and some minutes, once.

The program goes to ~/.cache/penstock-tests/bin, or PENSTOCK_TEST_CACHE. Nothing is built where it could not be started.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "v1.35.2"
MODULE = f"github.com/weaviate/weaviate/cmd/weaviate-server@{VERSION}"
BUILD_S = 1_200


def binary() -> Path | None:
    """Return the program, where it is."""
    built = _folder() / "weaviate-server"
    found = os.environ.get("PENSTOCK_WEAVIATE") or shutil.which("weaviate-server")
    return Path(found) if found else built if built.exists() else None


def lack() -> str:
    """Return why it cannot be started here; empty when it can."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "a network of its own takes root: set PENSTOCK_WEAVIATE_URL"
    if binary() is None:
        return "there is none, and no Go to build it with" if shutil.which("go") is None else "it could not be built"
    return ""


def build() -> None:
    """Build the program."""
    _folder().mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(_folder())}
    subprocess.run(["go", "install", MODULE], env=environment, check=True, timeout=BUILD_S)


def main() -> None:
    """Build it where it is wanted; whoever needs it says what is wrong where that fails."""
    is_wanted = binary() is None and not os.environ.get("PENSTOCK_WEAVIATE_URL")
    if not is_wanted or shutil.which("go") is None or os.geteuid() != 0 or shutil.which("unshare") is None:
        return
    sys.stderr.write(f"Weaviate {VERSION} is built for the tests: some minutes, once\n")
    try:
        build()
    except (subprocess.SubprocessError, OSError) as error:
        sys.stderr.write(f"Weaviate could not be built: {error}\n")


def _folder() -> Path:
    return Path(os.environ.get("PENSTOCK_TEST_CACHE") or Path.home() / ".cache" / "penstock-tests") / "bin"


if __name__ == "__main__":
    main()
