"""Removing streams of a NATS: those that a test made, known by the prefix of their names."""

from penstock.adapters.nats.connecting import address_of, open_connection


async def remove_topics(url: str) -> int:
    """Remove all streams that begin with the prefix of an address; return how many there were."""
    address = address_of(url)
    async with open_connection(address) as (connection, _):
        streams = connection.jetstream()
        names = [each.config.name or "" for each in await streams.streams_info()]
        wanted = [each for each in names if each.startswith(address.options["prefix"])]
        for each in wanted:
            await streams.delete_stream(each)
        return len(wanted)
