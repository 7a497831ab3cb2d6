"""Become another program that dies with its parent; the step between the controller and every child.

Run by its path in a bare interpreter (`python -I -S become.py PARENT SIGNAL USER PROGRAM…`), not imported: code
between fork and exec of a process with threads may deadlock, a small program in between cannot. The process id stays.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _take_user(name: str) -> None:
    user = pwd.getpwnam(name)
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _die_with_parent(number: int) -> None:
    """Linux only. Elsewhere a child outlives a controller that was killed, until somebody ends it."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def main(parent: str, death_signal: str, user: str, *command: str) -> None:
    if user:
        _take_user(user)
    # A change of user forgets the death signal, so it comes second; a parent that died before it was set, third.
    _die_with_parent(int(death_signal))
    if os.getppid() != int(parent):
        sys.exit("the controller is gone")
    # The interpreter ignores SIGPIPE and a shell's background jobs ignore SIGINT; exec would hand both on.
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the point of the program # nosec B606
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
