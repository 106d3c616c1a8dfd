"""Vectors outside of the store: from the setting `vectors` to the adapter that it names."""

import math
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import structs

from penstock.errors import Finding, Invalid, NotLetIn
from penstock.ports.clock import Clock
from penstock.ports.embedder import Embedder
from penstock.ports.spaces import Spaces
from penstock.ports.vectors import VectorIndex
from penstock.runtime.collection import Index
from penstock.settings import POSTGRES, Settings, shown_url

ANSWER_S_MAX = 60.0


class Elsewhere(VectorIndex, Spaces, Protocol):
    """What an adapter gives."""


Opened = AbstractAsyncContextManager[Elsewhere]
Opener = Callable[[str, Mapping[str, str]], Opened]


async def opened_vectors(chosen: Settings, index: Index, stack: AsyncExitStack, clock: Clock) -> Index:
    """Words as before, vectors elsewhere: written before the commit that says so, and idempotently.

    Passages are read where the words are, so a search by words needs nothing from elsewhere.
    """
    from penstock.layers.guarded_vectors import Patience, open_guarded
    from penstock.layers.spaces_apart import SpacesApart

    patience = Patience(answer_s=_answer_s(chosen.vectors_answer_s))
    vectors = await stack.enter_async_context(open_vectors(chosen.vectors, os.environ))
    guarded = await stack.enter_async_context(open_guarded(vectors, clock, patience))
    spaces = None if index.spaces is None else SpacesApart((vectors, index.spaces))
    apart = structs.replace(index, vectors=guarded, in_store=False, together=False, spaces=spaces)
    scheme = urlsplit(chosen.vectors).scheme
    system = "postgresql" if scheme in POSTGRES else scheme
    return structs.replace(apart, texts=index.vectors, checks=None, system=system)


def require_shareable(url: str, *, log: str = "") -> None:
    """Raise `Invalid` for vectors in files of one process, where several workers share the store, as all do over a `log`."""
    parts = urlsplit(url)
    if parts.scheme == "usearch" or (parts.scheme == "milvus" and not parts.netloc):
        problem = f"{shown_url(url)!r} lies in files of one process"
        alone = "leave `log` away: over a broker there may be several workers" if log else "run the app with one worker"
        hint = f"{alone}; or leave `vectors` away, or use a server: milvus://, qdrant://, postgresql://"
        raise Invalid("the settings", (Finding("vectors", problem, hint),))


def open_vectors(url: str, environment: Mapping[str, str]) -> Opened:
    """Open what a URL names; keys come from the environment. Raises `Invalid` for an address that is none."""
    opener = _OPENERS.get(url.partition(":")[0])
    if opener is None:
        known = ", ".join(f"{scheme}:..." for scheme in _OPENERS)
        raise Invalid("the settings", (Finding("vectors", f"{shown_url(url)!r} is not known", f"use {known}"),))
    return _let_in(opener(url, environment))


@asynccontextmanager
async def _let_in(opened: Opened) -> AsyncGenerator[Elsewhere]:
    """Open; `Invalid` with the setting where nobody lets us in from the start: an app that starts would only wait."""
    async with AsyncExitStack() as stack:
        try:
            index = await stack.enter_async_context(opened)
        except NotLetIn as error:
            problem = f"{error.backend} does not let us in ({error.reason})"
            raise Invalid(
                "the settings", (Finding("vectors", problem, f"set {error.setting} to one that may"),)
            ) from error
        yield index


def _pgvector(url: str, _environment: Mapping[str, str]) -> Opened:
    from penstock.adapters.postgres.passages import open_postgres_passages

    return open_postgres_passages(url)


@asynccontextmanager
async def _qdrant(url: str, environment: Mapping[str, str]) -> AsyncGenerator[Elsewhere]:
    from penstock.adapters.qdrant.places import QdrantPlaces
    from penstock.adapters.qdrant.server import address_of, open_server
    from penstock.layers.placed_passages import PlacedPassages

    address = address_of(url)
    async with open_server(address, environment) as server:
        yield PlacedPassages(QdrantPlaces(server, replicas=address.replicas, exact=address.exact), address.prefix)


@asynccontextmanager
async def _milvus(url: str, environment: Mapping[str, str]) -> AsyncGenerator[Elsewhere]:
    from penstock.adapters.milvus.places import MilvusPlaces
    from penstock.adapters.milvus.server import address_of, open_server
    from penstock.layers.placed_passages import PlacedPassages

    address = address_of(url)
    async with open_server(address, environment) as server:
        places = MilvusPlaces(server, consistency=address.consistency, index=address.index_type)
        yield PlacedPassages(places, address.prefix)


@asynccontextmanager
async def _usearch(url: str, _environment: Mapping[str, str]) -> AsyncGenerator[Elsewhere]:
    from penstock.adapters.usearch.places import address_of, open_usearch
    from penstock.layers.placed_passages import PlacedPassages

    address = address_of(url)
    async with open_usearch(address) as places:
        yield PlacedPassages(places, address.prefix)


@asynccontextmanager
async def _weaviate(url: str, environment: Mapping[str, str]) -> AsyncGenerator[Elsewhere]:
    from penstock.adapters.weaviate.places import WeaviatePlaces
    from penstock.adapters.weaviate.server import address_of, open_server
    from penstock.layers.placed_passages import PlacedPassages

    address = address_of(url)
    async with open_server(address, environment) as server:
        yield PlacedPassages(WeaviatePlaces(server, replicas=address.replicas), address.prefix)


def _pinecone(url: str, environment: Mapping[str, str]) -> Opened:
    from penstock.adapters.pinecone.passages import open_pinecone

    return open_pinecone(url, environment)


def require_room(index: Index, embedder: Embedder) -> None:
    """See that vectors of an embedder fit where `vectors` says; `Invalid` with the setting where they do not."""
    dims_max = getattr(index.vectors, "dims_max", None)
    if dims_max is not None and embedder.dims > dims_max:
        problem = f"names an index of {dims_max} dimensions, and the embedder {embedder.name} gives {embedder.dims}"
        hint = f"make one of {embedder.dims}, or choose another `embedder`"
        raise Invalid("the settings", (Finding("vectors", problem, hint),))


def _answer_s(given: str) -> float:
    try:
        answer_s = float(given)
    except ValueError:
        answer_s = math.nan
    if not 0 < answer_s <= ANSWER_S_MAX:
        finding = Finding("vectors_answer_s", f"is {given!r}", f"a number of seconds, up to {ANSWER_S_MAX:g}")
        raise Invalid("the settings", (finding,))
    return answer_s


_OPENERS: Mapping[str, Opener] = {
    **dict.fromkeys(POSTGRES, _pgvector),
    **dict.fromkeys(("qdrant", "qdrants"), _qdrant),
    **dict.fromkeys(("milvus", "milvuss"), _milvus),
    "usearch": _usearch,
    **dict.fromkeys(("weaviate", "weaviates"), _weaviate),
    "pinecone": _pinecone,
}
