import sys

import pytest

from penstock.adapters.models.extractive import ExtractiveModel
from penstock.adapters.models.providers import PROVIDERS, open_model
from penstock.errors import Invalid, Missing


def test_the_offline_model_needs_nothing():
    assert isinstance(open_model(" offline:extractive ", {}), ExtractiveModel)


@pytest.mark.parametrize("spec", ["", "gpt", "openai:", ":x", "offline:other", "http://127.0.0.1/v1", "https://h/v1#"])
def test_what_names_no_model_is_invalid_and_told_how_it_is_done(spec):
    with pytest.raises(Invalid) as refusal:
        open_model(spec, {})
    [finding] = refusal.value.findings
    assert "NAME" in finding.hint


@pytest.mark.parametrize("provider", [name for name, (_, key) in PROVIDERS.items() if key])
def test_a_missing_key_is_named(provider):
    with pytest.raises(Missing, match=f"set {provider.upper()}_API_KEY"):
        open_model(f"{provider}:some/model:tag", {})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_known_provider_opens_under_its_name(provider):
    pytest.importorskip("httpx2")
    model = open_model(f"{provider}:some/model:tag", {f"{provider.upper()}_API_KEY": "k"})
    assert model.name == f"{provider}:some/model:tag"


def test_any_address_opens_with_or_without_a_key():
    pytest.importorskip("httpx2")
    assert open_model("http://127.0.0.1:8000/v1#qwen", {}).name == "http://127.0.0.1:8000/v1:qwen"


@pytest.mark.skipif("pydantic_ai" in sys.modules, reason="pydantic-ai is loaded: what its absence gives cannot be seen")
def test_another_provider_tells_which_extra_it_needs():
    try:
        import pydantic_ai  # noqa: F401
    except ImportError:
        with pytest.raises(Missing, match=r"penstock\[providers\]"):
            open_model("anthropic:claude", {})
    else:
        with pytest.raises(Missing, match="anthropic"):
            open_model("anthropic:claude", {})
