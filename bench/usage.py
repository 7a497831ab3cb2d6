"""Usage: processor time and memory of a process and all that it started, as Linux counts them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PARENT, USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM = 1, 11, 12, 13, 14
"""Fields of /proc/<pid>/stat behind the name, which may hold spaces."""
PROC = Path("/proc")


def cpu_seconds(pid: int) -> float:
    """Give the time that a process, its living descendants and the dead ones that were waited for have used."""
    used = (USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM)
    return sum(int(stat[field]) for stat in _tree(pid).values() for field in used) / TICKS


def busy_seconds() -> float:
    """Give the time that the whole machine has worked, since it was started, summed over its cores."""
    user, nice, system, _idle, _waiting, *others = map(int, (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(others)) / TICKS


def resident_mib(pid: int) -> float:
    """Give the resident memory of one process, shared libraries and all."""
    return _kib(pid, "status", "VmRSS:") / 1024


def family_mib(pid: int) -> float:
    """Give the memory of a process and its descendants, with pages that several map counted once."""
    return sum(_kib(each, "smaps_rollup", "Pss:") for each in _tree(pid)) / 1024


def _tree(pid: int) -> Mapping[int, list[str]]:
    stats = dict(_stats())
    found = {pid: stats[pid]} if pid in stats else {}
    grown = True
    while grown:
        more = {each: stat for each, stat in stats.items() if int(stat[PARENT]) in found and each not in found}
        found |= more
        grown = bool(more)
    return found


def _stats() -> Iterator[tuple[int, list[str]]]:
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            try:
                yield int(folder.name), (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # lint: allow swallowed -- it ended meanwhile
                continue


def _kib(pid: int, file: str, field: str) -> int:
    lines = (PROC / str(pid) / file).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
