"""Who calls: the tenant of a request, and the ids that callers choose.

- No id from outside can be one that the engine makes: those hold a point ("CORRELATION.TAIL") where ours are escaped.
- An id belongs to a tenant: the same idempotency key of two tenants is two events (C10).
"""

import re
from hashlib import blake2b
from typing import Annotated

from fastapi import Depends, Header, Request

from penstock.app import Running
from penstock.core.events.envelope import DEFAULT_TENANT
from penstock.core.events.tenant import TENANT_PATTERN, require_tenant
from penstock.gateway.limits import Visits

_KEY_CHARS_MAX = 256
_OTHER = re.compile(rb"[^A-Za-z0-9_-]")


async def _tenant(
    x_tenant: Annotated[
        str, Header(description="Whom the data belongs to.", json_schema_extra={"pattern": TENANT_PATTERN})
    ] = DEFAULT_TENANT,
) -> str:
    return require_tenant(x_tenant, "header.x-tenant")


async def _running(request: Request) -> Running:
    return request.app.state.running


async def _visits(request: Request) -> Visits:
    return request.app.state.visits


Tenant = Annotated[str, Depends(_tenant)]
RunningApp = Annotated[Running, Depends(_running)]
OpenVisits = Annotated[Visits, Depends(_visits)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=_KEY_CHARS_MAX,
        description="The same key twice is one event and one run: send it again after a lost answer.",
    ),
]


def event_id(tenant: str, key: str, source: str = "") -> str:
    """Return the id of the event that a caller named `key` (unique per tenant and `source`).

    A plain key of the default tenant is the id itself; else it is "TENANT~KEY", other characters as "~" and two hex digits.
    """
    escaped = _OTHER.sub(lambda byte: b"~%02x" % byte[0], key.encode()).decode()
    if source:
        escaped += f"~~{blake2b(source.encode(), digest_size=8).hexdigest()}"
    return escaped if tenant == DEFAULT_TENANT and escaped == key else f"{tenant}~{escaped}"
