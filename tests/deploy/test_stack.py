"""The stack: both servers beside a command, and nothing left when the command, or the controller, is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from deploy.local import kafka, postgres
from deploy.local.errors import SetupError
from deploy.local.stack import stack
from tests.deploy.conftest import ended, needs_linux

needs_servers = pytest.mark.skipif(
    not {kafka.ADDRESS, postgres.ADDRESS} <= os.environ.keys(),
    reason=f"{kafka.ADDRESS} and {postgres.ADDRESS} are not set",
)


async def run_beside(*command: str, environment: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    arguments = ["-m", "deploy.local.stack", "run", "--kind", "test", "--", *command]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe, env=environment)


def children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        parent = int(status.read_text().rpartition(")")[2].split()[1])
        if parent == pid:
            found.append(int(status.parent.name))
    return found


@needs_servers
async def test_the_command_gets_the_addresses_and_gives_the_exit_code() -> None:
    code = f"import os, sys; print(os.environ['{postgres.ADDRESS}'], os.environ['{kafka.ADDRESS}']); sys.exit(7)"
    run = await run_beside(sys.executable, "-c", code)

    output, errors = await run.communicate()

    assert run.returncode == 7
    assert output.decode().split() == [os.environ[postgres.ADDRESS], os.environ[kafka.ADDRESS]]
    assert b"starting PostgreSQL 18" in errors


@needs_servers
async def test_a_command_that_a_signal_ended_gives_a_shell_s_exit_code() -> None:
    run = await run_beside("sh", "-c", "kill -KILL $$")

    await run.communicate()

    assert run.returncode == 128 + signal.SIGKILL


@needs_servers
async def test_a_signal_to_the_controller_reaches_the_command_as_ctrl_c() -> None:
    code = """
import time
try:
    print("up", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("tidied up", flush=True)
"""
    run = await run_beside(sys.executable, "-c", code)
    assert run.stdout is not None
    assert await run.stdout.readline() == b"up\n"

    run.send_signal(signal.SIGTERM)
    output, _ = await run.communicate()

    assert (run.returncode, output) == (128 + signal.SIGTERM, b"tidied up\n")


async def test_what_both_servers_lack_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgres.ADDRESS, "postgresql://me@127.0.0.1:1/postgres")
    monkeypatch.setenv(kafka.ADDRESS, "127.0.0.1:1")

    with pytest.raises(SetupError, match=r"SAMBAND_LOCAL"):
        async with stack("test", progress=lambda _: None):
            pass


@needs_linux
async def test_no_server_survives_a_killed_controller(run_folder: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in {postgres.ADDRESS, kafka.ADDRESS}}
    clean["TMPDIR"] = str(run_folder)
    run = await run_beside("sh", "-c", "echo up; exec sleep 600", environment=clean)
    assert run.stdout is not None
    assert await run.stdout.readline() == b"up\n"
    left = children(run.pid)
    assert len(left) == 3

    run.kill()
    await run.wait()

    assert all([await ended(each) for each in left])
