"""A folder of its own for every run: locked while in use, removed at the end, by the next run if need be."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from deploy.local.errors import SetupError

Kind = Literal["bench", "demo", "test", "up"]

CHECKOUT = Path(__file__).resolve().parents[2]

_PREFIX = "samband-"
_MARKER = "samband-run.lock"


@contextmanager
def own_folder(kind: Kind, *, checkout: Path = CHECKOUT, base: Path | None = None) -> Iterator[Path]:
    """A new folder below the system's temporary one; what crashed runs left there is removed first."""
    base = base or _temporary_folder()
    remove_leftovers(base)
    digest = hashlib.sha256(bytes(checkout)).hexdigest()[:8]
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-{digest}-", dir=base))
    with _mark(folder):
        # A database server that runs as another user must pass through; it reads only what is made for it.
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            _remove(folder)


def remove_leftovers(base: Path) -> None:
    """Remove the folders of runs that are over: ours, with the marker, and nobody holds its lock."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            with (folder / _MARKER).open("rb") as marker:
                fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)


def passable(path: Path) -> bool:
    """Whether any user of the machine may enter the folder (or read the file) and every folder above it."""
    path = path.resolve()
    own = stat.S_IXOTH if path.is_dir() else stat.S_IROTH
    return bool(path.stat().st_mode & own) and all(above.stat().st_mode & stat.S_IXOTH for above in path.parents)


def _temporary_folder() -> Path:
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - mkdtemp makes names there # nosec B108
    if os.geteuid() != 0:
        return candidates[0]
    # As root the database server runs as another user, who cannot enter a private temporary folder.
    for candidate in candidates:
        if candidate.is_dir() and passable(candidate):
            return candidate
    raise SetupError(f"no temporary folder that other users may enter: tried {', '.join(map(str, candidates))}")


@contextmanager
def _mark(folder: Path) -> Iterator[IO[bytes]]:
    """Lock the marker under another name and then give it its own: it is never seen unlocked while in use."""
    unnamed = folder / f"{_MARKER}.new"
    unnamed.touch(mode=0o600)
    with unnamed.open("rb") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(folder / _MARKER)
        yield marker


def _remove(folder: Path) -> None:
    """Remove the marker last, so that what could not be removed now is found again by the next run."""
    for entry in folder.iterdir():
        if entry.name == _MARKER:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    if [entry.name for entry in folder.iterdir()] == [_MARKER]:
        shutil.rmtree(folder, ignore_errors=True)
