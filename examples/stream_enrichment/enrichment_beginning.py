"""How the command begins: in the project's environment, which is made where there is none; a stack in a network of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from on_servers import NoStack, require_penstock, scripts_of_servers

__all__ = ["NoStack", "go_apart", "is_apart", "scripts_of_servers"]

APART = "ENRICHMENT_APART"
GIVEN = ("PENSTOCK_KAFKA", "PENSTOCK_REDIS", "PENSTOCK_MILVUS_URL")  # servers that cannot be reached from in there


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


require_penstock("run_enrichment")
