"""What a tenant may be called."""

import pytest

from penstock.core.events.envelope import DEFAULT_TENANT
from penstock.core.events.tenant import TENANT_CHARS_MAX, require_tenant
from penstock.errors import Invalid


@pytest.mark.parametrize("tenant", [DEFAULT_TENANT, "acme", "A-1_b", "x" * TENANT_CHARS_MAX])
def test_letters_digits_hyphens_and_underscores_name_a_tenant(tenant):
    assert require_tenant(tenant) == tenant


@pytest.mark.parametrize("tenant", ["", "a b", "a~b", "a.b", "ä", "acme\n", "../x", "x" * (TENANT_CHARS_MAX + 1)])
def test_nothing_else_does(tenant):
    with pytest.raises(Invalid) as refusal:
        require_tenant(tenant, "header.x-tenant")
    (finding,) = refusal.value.findings
    assert finding.path == "header.x-tenant"
    assert finding.hint
    assert len(finding.problem) < 2 * TENANT_CHARS_MAX
