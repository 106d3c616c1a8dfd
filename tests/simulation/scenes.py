"""The scenes that are simulated, all in one app."""

from choices import Choices
from claims import Claims
from deliveries import Deliveries
from errands import Errands
from library import Library
from orders import Orders
from payments import Payments
from refunds import Refunds
from reminders import Reminders
from routine import Routine
from scene import Scene
from trips import Trips
from world import World

# Payments first: they are healed by people, and the others wait until nobody is asked any more.
SCENES: tuple[type[Scene], ...] = (
    Payments,
    Orders,
    Trips,
    Reminders,
    Routine,
    Refunds,
    Choices,
    Claims,
    Errands,
    Deliveries,
    Library,
)


def scenes_of(world: World) -> list[Scene]:
    return [scene(world) for scene in SCENES]
