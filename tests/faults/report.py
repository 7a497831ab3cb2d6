"""Report: what all rounds of a run cost, in lines that people and machines read."""

from collections import Counter
from dataclasses import dataclass, field

from tests.faults.findings import Damage
from tests.faults.round import Result


@dataclass(frozen=True, slots=True)
class Least:
    """What must have happened in a run that is to prove something."""

    duplicates: int = 0
    mails: int = 0
    courier_deaths: int = 0


@dataclass(slots=True)
class Sum:
    """Rounds, added up."""

    commands: int = 0
    seeds: int = 0
    duplicates: int = 0
    mails: int = 0
    deaths: int = 0
    courier_deaths: int = 0
    doubled_by_a_death: int = 0
    doubled_by_the_server: int = 0
    undone: int = 0
    died_at: Counter[str] = field(default_factory=Counter)
    fallen: int = 0
    left_stuck: int = 0
    slowest_recovery: float = 0.0
    waits: dict[str, float] = field(default_factory=dict)
    """The most seconds that a message owed while a broker was hurt was under way, by injury."""
    damages: Counter[Damage] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        self.commands += len(result.history.commands)
        self.seeds += 1
        self.duplicates += result.duplicates
        self.mails += result.mails
        self.deaths += len(result.deaths)
        self.courier_deaths += result.courier_deaths
        self.fallen += len(result.fallen)
        self.left_stuck += len(result.stuck)
        self.doubled_by_a_death += result.findings.mails_doubled_by_a_death
        self.doubled_by_the_server += result.findings.mails_doubled_by_the_server
        self.undone += len(result.undone)
        self.died_at.update(death.place for death in result.deaths if death.place)
        self.slowest_recovery = max(self.slowest_recovery, result.recovered)
        for injury, seconds in result.waits.items():
            self.waits[injury] = max(seconds, self.waits.get(injury, 0.0))
        for damage, found in result.findings.damages.items():
            self.damages[damage] += len(found)

    def lines(self) -> list[str]:
        """Give the closing lines; the last one names every class of damage."""
        of = self.damages
        counts = {
            "commands": self.commands,
            "seeds": self.seeds,
            "lost": of[Damage.LOST],
            "twice": of[Damage.TWICE],
            "disordered": of[Damage.GAP] + of[Damage.INVERSION],
            "ghosts": of[Damage.GHOST],
            "zombies": of[Damage.ZOMBIE],
            "stuck": of[Damage.STUCK],
            "mails lost": of[Damage.MAIL_LOST],
            "mails twice": of[Damage.MAIL_TWICE],
        }
        return [
            f"mails doubled by a death between the final dot and its answer: {self.doubled_by_a_death}",
            f"mails doubled by a mail server that kept one and cut the connection: {self.doubled_by_the_server}",
            f"mails with an expired code: {of[Damage.MAIL_EXPIRED]}",
            f"mails owed: {self.mails}, SIGKILLs of their couriers: {self.courier_deaths}",
            f"deaths: {self.deaths}, of these at named places: {_listed(self.died_at)}",
            f"faults that could not be done: {self.undone}",
            f"processes fallen by themselves: {self.fallen}",
            f"processes that left because they were stuck: {self.left_stuck}",
            f"duplicates delivered: {self.duplicates}",
            *(
                f"longest under way during {injury!r}: {seconds:.1f} s"
                for injury, seconds in sorted(self.waits.items())
            ),
            f"slowest recovery: {self.slowest_recovery:.1f} s",
            ", ".join(f"{name} {count}" for name, count in counts.items()),
        ]

    def exit_code(self, least: Least) -> int:
        """Give 0 when all is well, 1 after damage or a process that fell, 2 when too little happened to prove anything."""
        if sum(self.damages.values()) or self.fallen:
            return 1
        happened = (self.duplicates, self.mails, self.courier_deaths)
        wanted = (least.duplicates, least.mails, least.courier_deaths)
        return 2 if any(count < enough for count, enough in zip(happened, wanted, strict=True)) else 0


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
