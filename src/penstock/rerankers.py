"""Opening re-rankers as settings name them: "words", "minilm", "cohere:MODEL", "jina:MODEL", or "http://HOST/v1#MODEL"."""

import os
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack

from penstock.embedders import Embedders
from penstock.errors import Finding, Invalid, Missing
from penstock.ports.reranker import Reranker

SERVICES = {
    "cohere": ("https://api.cohere.com/v2", "CO_API_KEY"),
    "jina": ("https://api.jina.ai/v1", "JINA_API_KEY"),
}


async def opened_reranker(spec: str | Reranker, embedders: Embedders, stack: AsyncExitStack) -> Reranker:
    """Return a re-ranker; `Invalid` for a name that is not known, `Missing` for what must be installed or set."""
    if not isinstance(spec, str):
        return spec
    from penstock.adapters.rerankers.local import MeaningReranker, WordsReranker

    if spec == "words":
        return WordsReranker()
    if spec == "minilm":
        return MeaningReranker(await embedders.open("minilm"))
    kind, _, model = spec.partition(":")
    address, key = SERVICES.get(kind, ("", ""))
    if spec.startswith(("http://", "https://")) and "#" in spec:
        address, _, model = spec.partition("#")
        key = "RERANK_API_KEY"
    if not address or not model:
        hint = "use words, minilm, cohere:MODEL, jina:MODEL or http://HOST/v1#MODEL"
        raise Invalid("the settings", (Finding("reranker", f"{spec!r} is not known", hint),))
    found = os.environ.get(key)
    if kind in SERVICES and not found:
        raise Missing(f"the key of {kind}", f"set {key}, or use the re-ranker 'words', which needs none")
    from penstock.adapters.rerankers.service import open_service_reranker

    return await stack.enter_async_context(open_service_reranker(address, model, api_key=found))


async def opened_rerankers(
    collections: Iterable[str],
    declared: Mapping[str, str | Reranker],
    default: str,
    embedders: Embedders,
    stack: AsyncExitStack,
) -> dict[str, Reranker]:
    """Return those of collections: what each declares, else what the settings say."""
    specs = {name: declared.get(name) or default for name in collections}
    return {name: await opened_reranker(spec, embedders, stack) for name, spec in specs.items() if spec}
