"""Schedule: which injury comes when, decided by the seed alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

TOGETHER = 1 / 3
# How many of each a full round has.
SHARES: tuple[tuple[str, int], ...] = (
    ("die: courier", 6),
    ("die: mail consumer", 3),
    ("die: codes", 1),
    ("die: auth api", 2),
    ("die: users", 1),
    ("die: blocks", 1),
    ("die: api", 2),
    ("die: relay", 3),
    ("die: consumer", 3),
    ("die: retry", 1),
    ("kill anything", 2),
    ("cut connections", 2),
    ("restart postgres", 1),
    ("pause kafka", 1),
    ("crash kafka", 1),
    ("cut relay", 1),
    ("freeze relay", 1),
    ("wake relay", 1),
    ("freeze consumer", 1),
    ("terminate", 2),
    ("rewind", 1),
    ("replay", 1),
    ("commit in reverse", 4),
    ("hold lock", 1),
    ("expire soon", 3),
    ("wire: slow", 1),
    ("wire: one way", 1),
    ("wire: trickle", 1),
    ("wire: reset", 1),
)


@dataclass(frozen=True, slots=True, order=True)
class Planned:
    """An injury, so many seconds after the round's begin. `draw` seeds what it chooses."""

    at: float
    injury: str
    draw: int


def plan(
    seed: int, seconds: float, only: Sequence[str] = (), *, shares: Sequence[tuple[str, int]] = SHARES
) -> list[Planned]:
    """Give a round's injuries in order of time; the same seed gives the same plan. `only` names some, one of each.

    A tenth of the time at the begin is left alone, so that there is work to hurt. A third of the injuries come at the
    very moment of another one.
    """
    chance = random.Random(seed)
    planned: list[Planned] = []
    for injury, count in [(injury, 1) for injury in only] or shares:
        for _ in range(count):
            together = planned and chance.random() < TOGETHER
            at = chance.choice(planned).at if together else chance.uniform(seconds / 10, seconds * 9 / 10)
            planned.append(Planned(round(at, 3), injury, chance.getrandbits(32)))
    return sorted(planned)
