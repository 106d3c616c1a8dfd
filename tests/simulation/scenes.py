"""The scenes that are simulated, all in one app."""

from orders import Orders
from refunds import Refunds
from reminders import Reminders
from routine import Routine
from scene import Scene
from trips import Trips
from world import World

SCENES: tuple[type[Scene], ...] = (Orders, Trips, Reminders, Routine, Refunds)


def scenes_of(world: World) -> list[Scene]:
    return [scene(world) for scene in SCENES]
