"""The streams of runs, each in the order of its offsets."""

from penstock.adapters.redis_store.forms import chunk_of_row
from penstock.adapters.redis_store.names import named
from penstock.adapters.redis_store.reading import dict_of
from penstock.adapters.redis_store.server import Server
from penstock.core.agents.pieces import StreamChunk, StreamEnd


async def pieces(server: Server, which: tuple[str, str, str], from_offset: int, limit: int) -> list[StreamChunk]:
    """Return chunks of a stream, named by tenant, run and name."""
    tenant, run_id, name = which
    key = server.keys.stream(run_id, name)
    before, following = await server.all(
        "pieces",
        [
            (b"ZREVRANGEBYSCORE", key, from_offset, b"-inf", b"LIMIT", 0, 1),
            (b"ZRANGEBYSCORE", key, b"(%d" % from_offset, b"+inf", b"LIMIT", 0, limit),
        ],
        moment=True,
    )
    chunks = [chunk_of_row(run_id, name, row) for row in (*before, *following)]
    return [each for each in chunks if each.first + each.count > from_offset and each.tenant == tenant][:limit]


async def streams(server: Server, tenant: str, run_id: str) -> list[StreamEnd]:
    (found,) = await server.all("streams", [(b"HGETALL", server.keys.streams(named(run_id)))])
    sizes = {name.decode(): int(size) for name, size in dict_of(found).items()}
    names = sorted(sizes)
    asked: list[tuple[object, ...]] = []
    for name in names:
        key = server.keys.stream(run_id, name)
        asked += [(b"ZRANGE", key, -1, -1), (b"ZCARD", key)]
    answers = await server.all("streams", asked)
    ends = list[StreamEnd]()
    for name, last, count in zip(names, answers[::2], answers[1::2], strict=True):
        if last:
            chunk = chunk_of_row(run_id, name, last[0])
            if chunk.tenant == tenant:
                ends.append(StreamEnd(name, chunk.first + chunk.count, sizes[name], count))
    return ends
