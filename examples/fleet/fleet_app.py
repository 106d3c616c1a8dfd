"""A fleet of robots that share what they know: obstacles only grow, energy is taken and given back.

Robots are offline now and then, report late, twice and in any order. Each sends its own state, not a change; the agent merges it
into the fleet's, and keeps it. Whoever comes last changes nothing about the outcome.
"""

from pydantic import NonNegativeInt

from penstock import App, Context, Event, GCounter, GSet, PNCounter

app = App("fleet")


class Report(Event, key="fleet"):
    """What a robot has seen and used so far, as `Robot.report` makes it."""

    fleet: str
    obstacles: list[str] = []
    energy_taken: dict[str, NonNegativeInt] = {}  # by the name of the robot
    energy_given_back: dict[str, NonNegativeInt] = {}


class Known(Event):
    """What the fleet knows after a report."""

    obstacles: list[str]
    energy_used: int


class Robot:
    """The side of a robot: it counts for itself, and hears of nobody."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.obstacles = GSet()
        self.energy = PNCounter()

    def sees(self, obstacle: str) -> None:
        self.obstacles = self.obstacles.added(obstacle)

    def uses(self, amount: int) -> None:
        """Take energy from the fleet's store; a negative amount gives some back."""
        self.energy = self.energy.added(self.name, amount)

    def report(self, fleet: str) -> Report:
        return Report(
            fleet=fleet,
            obstacles=sorted(self.obstacles.items),
            energy_taken=dict(self.energy.up.counts),
            energy_given_back=dict(self.energy.down.counts),
        )


@app.agent
async def merger(report: Report, ctx: Context) -> Known:
    obstacles = await ctx.values.get("obstacles", GSet(), to=GSet)
    energy = await ctx.values.get("energy", PNCounter(), to=PNCounter)
    obstacles = obstacles.merge(GSet(frozenset(report.obstacles)))
    energy = energy.merge(PNCounter(GCounter(report.energy_taken), GCounter(report.energy_given_back)))
    await ctx.values.set("obstacles", obstacles)
    await ctx.values.set("energy", energy)
    return Known(obstacles=sorted(obstacles.items), energy_used=energy.value)
