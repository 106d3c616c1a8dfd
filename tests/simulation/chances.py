"""How hostile the world of one seed is."""

from dataclasses import dataclass
from random import Random


@dataclass
class Chances:
    """Drawn once per seed, so that seeds differ in kind and not only in luck. New fields go to the end."""

    loss: float
    delay_s: float
    failure: float
    poison: float
    slow: float
    lives: int
    life_s: float
    rivals: bool

    @staticmethod
    def of(random: Random) -> "Chances":
        return Chances(
            loss=random.choice([0.0, 0.05, 0.2]),
            delay_s=random.choice([0.0, 0.001, 0.02]),
            failure=random.choice([0.0, 0.1, 0.3]),
            poison=random.choice([0.0, 0.1]),
            slow=random.choice([0.0, 0.1]),
            lives=random.randint(1, 6),
            life_s=random.choice([0.05, 0.5, 5.0]),
            rivals=random.random() < 0.3,
        )
