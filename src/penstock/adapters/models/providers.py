"""Opens chat models by name: which provider is where, and which key it wants."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from penstock.errors import Finding, Invalid, Missing
from penstock.ports.chat_model import ChatModel

OFFLINE = "offline:extractive"
# The key for an address that stands in a spec itself ("http://host/v1#model").
OWN_KEY = "PENSTOCK_MODEL_KEY"


class Provider(NamedTuple):
    """An OpenAI-compatible service: its address, and the variable that holds its key (none: no key is needed)."""

    base_url: str
    key: str


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "deepseek": Provider("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "together": Provider("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "ollama": Provider("http://127.0.0.1:11434/v1", ""),
}


def open_model(spec: str, environment: Mapping[str, str]) -> ChatModel:
    """Open the model that `spec` names. Nothing is asked of it yet.

    "offline:extractive"; "openai:NAME" and the other `PROVIDERS`, whose keys and addresses (`OPENAI_BASE_URL`) are
    taken from `environment`; "http://host/v1#NAME" for any OpenAI-compatible address; every other "provider:NAME"
    by pydantic-ai, which takes keys from the process's own environment.

    Raises `Invalid` for what is no such name, `Missing` for a key or package that is not there.
    """
    spec = spec.strip()
    if spec == OFFLINE:
        from penstock.adapters.models.extractive import ExtractiveModel

        return ExtractiveModel()
    if spec.startswith(("http://", "https://")):
        return _at_address(spec, environment)
    provider, _, model = spec.partition(":")
    if not model or not provider or provider == "offline":
        hint = f'use "{OFFLINE}", "openai:NAME", "ollama:NAME", another "provider:NAME", or "http://host/v1#NAME"'
        raise Invalid("the model", (Finding("model", f"{spec!r} names no model", hint),))
    if provider in PROVIDERS:
        return _of_provider(provider, model, environment)
    from penstock.adapters.models.pydantic_ai_model import open_pydantic_ai_model

    return open_pydantic_ai_model(spec)


# OpenAI's reasoning models refuse a temperature.
_REASONING = re.compile(r"^(?:o\d|gpt-5)")


def _at_address(spec: str, environment: Mapping[str, str]) -> ChatModel:
    from penstock.adapters.models.openai_compatible import ChatOptions, OpenAICompatibleModel

    base_url, _, model = spec.partition("#")
    if not model:
        hint = f'put its name behind a "#": {base_url}#NAME'
        raise Invalid("the model", (Finding("model", f"{spec!r} names an address and no model", hint),))
    options = ChatOptions(key_hint=f"set {OWN_KEY}")
    return OpenAICompatibleModel(model, base_url, environment.get(OWN_KEY) or None, provider=base_url, options=options)


def _of_provider(provider: str, model: str, environment: Mapping[str, str]) -> ChatModel:
    from penstock.adapters.models.openai_compatible import ChatOptions, OpenAICompatibleModel

    base_url, key_name = PROVIDERS[provider]
    base_url = environment.get(f"{provider.upper()}_BASE_URL") or base_url
    key = environment.get(key_name) if key_name else None
    if key_name and not key:
        raise Missing(f"the key of {provider}", f"set {key_name}, or use {OFFLINE!r}, which needs none")
    is_openai = provider == "openai"
    options = ChatOptions(
        tokens_field="max_completion_tokens" if is_openai else "max_tokens",
        takes_temperature=not (is_openai and _REASONING.match(model)),
        key_hint=f"set {key_name}" if key_name else f"it asks for a key: use {base_url}#{model} and {OWN_KEY}",
    )
    return OpenAICompatibleModel(model, base_url, key, provider=provider, options=options)
