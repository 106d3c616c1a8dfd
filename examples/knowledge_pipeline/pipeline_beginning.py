"""The command begins in the project's environment, which is made where there is none."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from on_servers import NoStack, require_penstock, scripts_of_servers

__all__ = ["NoStack", "scripts_of_servers"]

require_penstock("prove_pipeline")
