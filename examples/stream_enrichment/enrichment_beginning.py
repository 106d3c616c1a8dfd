"""How the command begins: in the project's environment, which is made where there is none; a stack in a network of its own."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
APART = "ENRICHMENT_APART"
GIVEN = ("PENSTOCK_KAFKA", "PENSTOCK_REDIS", "PENSTOCK_MILVUS_URL")  # servers that cannot be reached from in there


class NoStack(Exception):
    """A server that the stack needs cannot be had here; the message says why."""


def require_penstock() -> None:
    """Go on with the Python that has penstock. In a fresh clone it is made first, once."""
    if find_spec("penstock") is not None:
        return
    if Path(sys.executable) == PYTHON:
        sys.exit("run_enrichment: penstock is not in .venv: run `make setup`")
    if not (PYTHON.parent.parent / ".ready").exists():
        make = shutil.which("make")
        if make is None:
            print("run_enrichment: no `make` here: install it, or penstock with pip", file=sys.stderr)
            sys.exit(2)
        print("run_enrichment: making .venv, once (make setup)", file=sys.stderr)
        if subprocess.run([make, "-s", "-C", ROOT, "setup"], stdout=sys.stderr, check=False).returncode:
            sys.exit(2)
    os.execv(PYTHON, [str(PYTHON), *sys.argv])


def is_apart() -> bool:
    return os.environ.get(APART) == "1"


def go_apart() -> None:
    """Begin again in a network of our own, with all servers in it: Ray listens at every address that there is."""
    if shutil.which("ip") is None:
        raise NoStack("no `ip` here: install iproute2")
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        raise NoStack("no network namespace may be made here, and Ray would listen at every address: run as root")
    for name in GIVEN:
        os.environ.pop(name, None)
    os.environ[APART] = "1"
    inside = ["unshare", "-n", "bash", "-c", 'ip link set lo up && exec "$@"', "apart", sys.executable, *sys.argv]
    os.execvp(inside[0], inside)


require_penstock()
