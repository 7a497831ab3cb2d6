"""Control: a catcher is believed only when it finds nothing wrong with the code as it is."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deploy.local import program
from tests.mutants.hunt import Ground, ask, run_tests
from tests.mutants.mutant import Assertions, Mutant, Rounds
from tests.mutants.verdict import Fate, Seen, Verdict


class Control:
    """Runs each catcher once on the unspoilt tree: all tests together, and each kind of rounds."""

    def __init__(self, ground: Ground, mutants: Sequence[Mutant]) -> None:
        self._ground = ground
        self._ids = sorted({test for m in mutants if isinstance(m.catcher, Assertions) for test in m.catcher.ids})
        self._tests: list[Seen] | None = None
        self._rounds: dict[Rounds, Verdict] = {}

    async def before(self, catcher: Assertions | Rounds) -> None:
        """Make sure that a catcher has been run without any mutant."""
        match catcher:
            case Assertions() if self._tests is None:
                with _timed() as said:
                    self._tests = await run_tests(self._ground, self._ids) or []
                    said.append(f"{len(self._tests)} tests")
            case Rounds() if catcher not in self._rounds:
                with _timed() as said:
                    self._rounds[catcher] = await ask(self._ground, catcher, ())
                    said.append(f"{', '.join(sorted(set(catcher.injuries)))}: {self._rounds[catcher].why}")

    def fault_of(self, catcher: Assertions | Rounds) -> Verdict | None:
        """Say why a catcher cannot be believed; None when it found nothing wrong."""
        match catcher:
            case Assertions():
                return self._fault_of_tests(catcher)
            case Rounds():
                found = self._rounds[catcher]
                return None if found.fate is Fate.SURVIVED else Verdict(Fate.BROKEN, f"without it too: {found.why}")

    def _fault_of_tests(self, catcher: Assertions) -> Verdict | None:
        for wanted in catcher.ids:
            own = [seen for seen in self._tests or () if _belongs(seen.test, wanted)]
            if not own:
                return Verdict(Fate.BROKEN, f"{wanted} was not run")
            if failed := [seen for seen in own if seen.end != "passed"]:
                return Verdict(Fate.BROKEN, f"without it too: {failed[0].test} {failed[0].said}")
        return None


@contextmanager
def _timed() -> Iterator[list[str]]:
    """Tell what was found in the block, and how long it took."""
    said: list[str] = []
    began = time.monotonic()
    yield said
    program.tell(f"control   {time.monotonic() - began:5.1f} s  {' '.join(said)}")


def _belongs(test: str, wanted: str) -> bool:
    """Tell whether a test is meant by an id: its own, its file's, or its name's with any parameters."""
    return test == wanted or test.startswith((f"{wanted}::", f"{wanted}["))
