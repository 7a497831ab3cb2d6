"""Programs that stop in order when they are told to, and say what is missing."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

_PROGRAM = """
import asyncio, sys
from deploy.local import program
from deploy.local.errors import SetupError

async def work():
    if sys.argv[1] == "lacks":
        raise SetupError("no Java here")
    if sys.argv[1] == "ends":
        return 7
    try:
        print("up", flush=True)
        await asyncio.Event().wait()
    finally:
        print("stopping", flush=True)
        sys.stdin.readline()
        print("stopped", flush=True)

sys.exit(program.run(work()))
"""


async def start(what: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, what, stdin=pipe, stdout=pipe, stderr=pipe
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_second_signal_does_not_interrupt_the_stopping(number: signal.Signals) -> None:
    program = await start("waits")
    assert program.stdout is not None
    assert await program.stdout.readline() == b"up\n"
    program.send_signal(number)
    assert await program.stdout.readline() == b"stopping\n"

    program.send_signal(number)
    output, errors = await program.communicate(b"\n")

    assert (program.returncode, output, errors) == (128 + number, b"stopped\n", b"")


async def test_the_exit_code_is_the_work_s_own() -> None:
    program = await start("ends")

    await program.communicate()

    assert program.returncode == 7


async def test_what_is_missing_is_said_in_one_line() -> None:
    program = await start("lacks")

    _, errors = await program.communicate()

    assert (program.returncode, errors) == (1, b"error: no Java here\n")
