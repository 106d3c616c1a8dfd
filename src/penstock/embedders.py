"""Opening embedders as settings name them: "static", "minilm", "openai:NAME", "sentence-transformers:NAME", or an own one."""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from penstock.errors import Finding, Invalid, Missing
from penstock.layers.cached_embedder import CachedEmbedder
from penstock.layers.metered_embedder import MeteredEmbedder
from penstock.layers.traced_embedder import TracedEmbedder
from penstock.ports.embedder import Embedder
from penstock.ports.tracer import Tracer


class Embedders:
    """The embedders of an app: each is opened once, and closed with `stack`."""

    def __init__(self, own: Mapping[str, Embedder], stack: AsyncExitStack, tracer: Tracer | None = None) -> None:
        self._tracer = tracer
        self._opened: dict[str, Embedder] = {name: MeteredEmbedder(self._seen(each)) for name, each in own.items()}
        self._stack = stack

    def _seen(self, embedder: Embedder) -> Embedder:
        return embedder if self._tracer is None else TracedEmbedder(embedder, self._tracer)

    async def open(self, spec: str) -> Embedder:
        """Return an embedder; `Invalid` for a name that is not known, `Missing` for what must be installed or set."""
        if spec not in self._opened:
            self._opened[spec] = CachedEmbedder(self._seen(await _opened(spec, self._stack)))
        return self._opened[spec]


async def _opened(spec: str, stack: AsyncExitStack) -> Embedder:
    kind, _, name = spec.partition(":")
    if spec == "static":
        from penstock.adapters.embedders.static import open_static_embedder

        return open_static_embedder()
    if kind == "static" and name:
        from penstock.adapters.embedders.static import open_static_embedder

        return open_static_embedder(Path(name))
    if spec == "minilm":
        from penstock.adapters.embedders.minilm import open_minilm_embedder

        return open_minilm_embedder()
    if kind == "sentence-transformers" and name:
        from penstock.adapters.embedders.sentence_transformers import open_sentence_transformers_embedder

        return open_sentence_transformers_embedder(name)
    if kind == "openai" and name:
        return await stack.enter_async_context(_openai_embedder(name, os.environ))
    hint = "use static, static:FILE, minilm, openai:NAME or sentence-transformers:NAME; one of an app's own needs that app: --app"
    raise Invalid("the settings", (Finding("embedder", f"{spec!r} is not known", hint),))


def _openai_embedder(model: str, environment: Mapping[str, str]) -> AbstractAsyncContextManager[Embedder]:
    """Open a model of OpenAI, or of the address in OPENAI_BASE_URL, with the key that its chat models take."""
    from penstock.adapters.embedders.openai import OpenAiOptions, open_openai_embedder
    from penstock.adapters.models.providers import PROVIDERS

    base_url, key_name = PROVIDERS["openai"]
    base_url = environment.get("OPENAI_BASE_URL") or base_url
    key = environment.get(key_name)
    if not key:
        raise Missing("the key of openai", f"set {key_name}, or use the embedder 'static', which needs none")
    return open_openai_embedder(OpenAiOptions(base_url=base_url, model=model), api_key=key)
