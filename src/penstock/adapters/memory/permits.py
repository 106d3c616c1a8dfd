"""Permits on a disk in memory."""

from penstock.adapters.memory.disk import Disk
from penstock.ports.permits import Holding, Wish


def held(disk: Disk, epoch: int, wish: Wish) -> Holding:
    """Set what a worker has of a name, as far as the others leave it."""
    of_name = {
        each: permit
        for each, permit in disk.permits.get(wish.name, {}).items()
        if each in disk.members and each != epoch
    }
    others_held = sum(has for has, _ in of_name.values())
    mine = max(0, min(wish.held, wish.limit - others_held))
    wanting = [has for has, wants in of_name.values() if wants]
    short = sum(wants > has for has, wants in of_name.values())
    if mine or wish.wanted:
        of_name[epoch] = (mine, wish.wanted)
    disk.permits[wish.name] = of_name
    if not of_name:
        del disk.permits[wish.name]
    return Holding(wish.name, mine, len(wanting), short, wanting.count(0))
