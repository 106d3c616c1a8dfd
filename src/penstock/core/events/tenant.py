"""Whom data belongs to: what a tenant may be called, wherever it comes from."""

import re

from penstock.errors import Finding, Invalid

TENANT_CHARS_MAX = 64
TENANT_PATTERN = f"^[A-Za-z0-9_-]{{1,{TENANT_CHARS_MAX}}}$"
# Not `match`: its `$` lets a line break at the end pass.
_is_tenant = re.compile(TENANT_PATTERN.strip("^$")).fullmatch


def require_tenant(tenant: str, path: str = "tenant") -> str:
    """Return the tenant; `Invalid` when it cannot be one. `path` is where it was given."""
    # Not everybody has a type checker, and None would be stored as somebody's data.
    if not (isinstance(tenant, str) and _is_tenant(tenant)):  # pyright: ignore[reportUnnecessaryIsInstance]
        problem = f"is {str(tenant)[: TENANT_CHARS_MAX + 1]!r}"
        hint = f"use letters, digits, - and _, 1 to {TENANT_CHARS_MAX} of them"
        raise Invalid("the tenant", (Finding(path, problem, hint),))
    return tenant
