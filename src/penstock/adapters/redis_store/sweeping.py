"""Large values that nobody refers to any more."""

from typing import Any

from penstock.adapters.redis_store.names import joined, named
from penstock.adapters.redis_store.reading import dict_of
from penstock.adapters.redis_store.server import Server
from penstock.adapters.redis_store.writing import Commands
from penstock.core.events.blobs import Owner, unpacked_owner
from penstock.ports.blobs import Swept


async def sweep(server: Server, before_ms: int, after: bytes, limit: int, *, dry: bool) -> Swept:
    keys = server.keys
    first = b"(" + after if after else b"-"
    (digests,) = await server.all("sweeping", [(b"ZRANGEBYLEX", keys.blob_ids, first, b"+", b"LIMIT", 0, limit)])
    uses = await server.all("sweeping", [(b"HGETALL", keys.uses(each)) for each in digests])
    lists, sizes = list[tuple[Commands, Commands]](), list[int]()
    for digest, found in zip(digests, uses, strict=True):
        owners = dict_of(found)
        count = owners.pop(b"n", b"")
        if any(int(at_ms) >= before_ms for at_ms in owners.values()) or await _is_held(server, digest, [*owners]):
            continue
        (size,) = await server.all("sweeping", [(b"HSTRLEN", keys.blobs, digest)])
        # Nobody has used it since: a commit that does, brings it along and is counted.
        guards: Commands = [[count or False, b"HGET", keys.uses(digest), b"n"]]
        gone: Commands = [[b"HDEL", keys.blobs, digest], [b"ZREM", keys.blob_ids, digest], [b"DEL", keys.uses(digest)]]
        lists.append((guards, gone))
        sizes.append(size)
    went = [True] * len(lists) if dry else await server.apply(lists)
    freed = [size for size, is_gone in zip(sizes, went, strict=True) if is_gone]
    return Swept(len(freed), sum(freed), digests[-1] if len(digests) == limit else b"")


async def _is_held(server: Server, digest: bytes, owners: list[bytes]) -> bool:
    """Whether a row still refers to a blob: within it, the digest stands as it is."""
    for packed in owners:
        answers = await server.all("sweeping", _rows_of(server, unpacked_owner(packed)))
        if any(digest in body for answer in answers for body in _bodies(answer)):
            return True
    return False


def _bodies(answer: bytes | list[bytes] | None) -> list[bytes]:
    if answer is None:
        return []
    return answer if isinstance(answer, list) else [answer]


def _rows_of(server: Server, owner: Owner) -> list[tuple[Any, ...]]:
    keys = server.keys
    kind, *names = owner
    match kind:
        case "event":
            return [(b"HGET", keys.events, named(names[0]))]
        case "timer":
            return [(b"HGET", keys.timers, named(names[0]))]
        case "run":
            name = named(names[0])
            return [(b"HGET", keys.runs, name), (b"HVALS", keys.journal(name))]
        case "session":
            return [(b"HVALS", keys.session(joined(*names)))]
        case "value":
            return [(b"HVALS", keys.value(joined(*names)))]
        case _:
            raise AssertionError(owner)
