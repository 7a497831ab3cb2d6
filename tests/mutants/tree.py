"""Tree: a copy of the checkout that may be spoilt."""

import shutil
import subprocess
from pathlib import Path

from deploy.local.folders import CHECKOUT

LIST = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def copy_checkout(to: Path) -> None:
    """Copy what git knows or would add, with Kafka's jars shared."""
    listed = subprocess.run(LIST, cwd=CHECKOUT, capture_output=True, check=True, text=True).stdout
    for name in listed.split("\0"):
        source = CHECKOUT / name
        if name and source.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name)
    (to / ".local").mkdir(parents=True)
    for kept in (CHECKOUT / ".local").glob("kafka-*"):
        (to / ".local" / kept.name).symlink_to(kept)
