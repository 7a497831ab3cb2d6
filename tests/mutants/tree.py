"""Tree: a copy of the checkout that may be spoilt."""

import shutil
from pathlib import Path

from deploy.local.folders import CHECKOUT

MADE = shutil.ignore_patterns(".git", ".venv", ".local", ".hypothesis", ".*_cache", "__pycache__")


def copy_checkout(to: Path) -> None:
    """Copy all but what is made in a checkout, with Kafka's jars shared."""
    shutil.copytree(CHECKOUT, to, symlinks=True, ignore=MADE)
    (to / ".local").mkdir()
    for kept in (CHECKOUT / ".local").glob("kafka-*"):
        (to / ".local" / kept.name).symlink_to(kept)
