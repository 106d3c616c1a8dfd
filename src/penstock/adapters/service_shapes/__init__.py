"""What services of AWS answer, to validate mocked answers: an extract of botocore's models (Apache-2.0), one file a service.

`scripts/service_shapes.py` writes the extract; docs/decisions/0033-trying-a-state.md says of which version, and why.
"""

import json
import zipfile
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

_BOTOCORE_NAMES: Final = {
    "states": "stepfunctions",
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "elasticloadbalancingv2": "elbv2",
    "elasticmapreduce": "emr",
    "iotdataplane": "iot-data",
}
"""Services that have another name in a Resource than in botocore, beside those that differ in dashes only."""


@lru_cache(maxsize=16)
def shapes_of(service: str) -> dict[str, Any] | None:
    """Return the operations and shapes of a service, by its name in a Resource (`sqs`, `bedrockruntime`), or None."""
    with zipfile.ZipFile(str(files(__name__) / "shapes.zip")) as archive:
        named = {name.removesuffix(".json").replace("-", ""): name for name in archive.namelist()}
        found = named.get(_BOTOCORE_NAMES.get(service, service).replace("-", ""))
        return None if found is None else json.loads(archive.read(found))
