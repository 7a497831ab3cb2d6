"""Run a service that dies, by its own SIGKILL, at a named place: `python -m tests.support.crashing services.auth worker`.

`SAMBAND_TEST_FAILPOINT` is `<place>` or `<place>:<n>` for the n-th time the place is reached. `SAMBAND_TEST_MARK` names a file
that then holds the place: a death says nothing by itself. The hook lives here, among the tests: the product's own code
holds only the names of the places.
"""

import os
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path

from chassis import failpoints

PLACE, _, COUNT = os.environ["SAMBAND_TEST_FAILPOINT"].partition(":")
MARK = os.environ.get("SAMBAND_TEST_MARK", "")
_reached: Counter[str] = Counter()


def die(name: str) -> None:
    """Die when the place has been reached often enough."""
    _reached[name] += 1
    if name == PLACE and _reached[name] == int(COUNT or 1):
        if MARK:
            Path(MARK).write_text(name, encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    failpoints.install(die)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=False)
