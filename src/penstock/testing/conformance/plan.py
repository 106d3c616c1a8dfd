"""What is asked of the app of the conformance test, by name: each life asks for all of it again, under the same ids."""

from msgspec import Struct

from penstock.testing.conformance.depot import CUSTOMERS, TENANTS, Order


class Plan(Struct, frozen=True):
    """How much is asked for."""

    orders: int = 16  # of each tenant
    trips: int = 4
    machines: int = 3
    reminders: int = 6
    passages: int = 24
    kills: int = 4

    @property
    def all_orders(self) -> list[tuple[str, int]]:
        """Return (tenant, number) of each order."""
        return [(tenant, number) for number in range(self.orders) for tenant in TENANTS]


def order_id(tenant: str, number: int) -> str:
    """Return the id under which a client sends an order, each time."""
    return f"order-{tenant}-{number}"


def order_of(number: int) -> Order:
    """Return an order: both tenants have customers of the same names."""
    return Order(customer=customer_of(number), number=number)


def customer_of(number: int) -> str:
    """Return whose order it is."""
    return f"customer-{number % CUSTOMERS}"


def total_of(number: int) -> int:
    """Return the total that an order must be answered with: the orders of a customer are sent in their order."""
    return number // CUSTOMERS + 1


def trip_id(number: int) -> str:
    """Return the id of a trip."""
    return f"trip-{number}"


def reminder_id(number: int) -> str:
    """Return the id of a timer."""
    return f"reminder-{number}"


def passage_id(tenant: str, number: int) -> str:
    """Return the id of a passage."""
    return f"{tenant}-{number}"


def way_of(event_id: str) -> tuple[str, ...]:
    """Return the agents by whose way an event is answered."""
    return ("charge", "ship") if event_id.startswith("order") else ("travel",)
