"""How hostile the world of one seed is."""

from dataclasses import dataclass
from random import Random


@dataclass
class Chances:
    """Drawn once per seed, each kind of fault present or not, so that seeds differ in kind and not only in luck (swarm)."""

    loss: float = 0.0
    delay_s: float = 0.0
    repeats: float = 0.0  # of requests that arrive twice
    torn: float = 0.0  # of answers that bring less than was asked for
    failure: float = 0.0  # of handlers
    poison: float = 0.0
    slow: float = 0.0
    lives: int = 0
    life_s: float = 0.5
    rivals: bool = False  # another worker takes over while one lives
    thieves: float = 0.0  # of lives whose claim is taken by one who then does nothing
    deaths: float = 0.0  # of lives that end at a write point, rather than at some moment
    full: float = 0.0  # of lives in which the disk is full for a while
    jumps: float = 0.0  # of lives in which the clock jumps
    drift: float = 0.0
    orders_max: int = 40
    partitions: int = 1  # with more than one, lives are workers that share the store

    @staticmethod
    def of(random: Random) -> "Chances":
        def some(*values: float) -> float:
            return random.choice(values) if random.random() < 0.5 else 0.0

        return Chances(
            loss=some(0.05, 0.2),
            delay_s=some(0.001, 0.02),
            repeats=some(0.02, 0.2),
            torn=some(0.5, 1.0),
            failure=some(0.1, 0.3),
            poison=some(0.1),
            slow=some(0.1),
            lives=random.randint(1, 6),
            life_s=random.choice([0.05, 0.5, 5.0]),
            rivals=random.random() < 0.3,
            thieves=some(0.3),
            deaths=some(0.5, 1.0),
            full=some(0.3),
            jumps=some(0.5),
            drift=some(-0.2, -0.001, 0.001, 0.2),
            partitions=random.choice([2, 5, 16]) if random.random() < 0.4 else 1,
        )
