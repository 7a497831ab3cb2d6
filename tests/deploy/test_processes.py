"""Children that die with their controller, stop when asked, and say why they did not start."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local.errors import SetupError
from tests.deploy.conftest import ended, needs_linux, needs_root

_STARTS_A_CHILD = """
import asyncio, sys
from pathlib import Path
from deploy.local import processes

async def main():
    child = await processes.start("child", ["sleep", "600"], log=Path(sys.argv[1]), user=sys.argv[2])
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""
_ENDS_AT_SIGTERM = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print("up", flush=True)
signal.pause()
"""
_IGNORES_SIGTERM = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
signal.pause()
"""


async def start_python(code: str, log: Path) -> processes.Process:
    return await processes.start("the child", [sys.executable, "-c", code], log=log)


async def written(process: processes.Process, text: str) -> None:
    async def seen() -> bool:
        return text in process.log_tail()

    await processes.ready(process, seen, within=10)


@needs_linux
@pytest.mark.parametrize("user", ["", pytest.param("nobody", marks=needs_root)])
async def test_a_child_dies_when_its_controller_is_killed(tmp_path: Path, user: str) -> None:
    controller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _STARTS_A_CHILD, tmp_path / "log", user, stdout=asyncio.subprocess.PIPE
    )
    assert controller.stdout is not None
    child = int(await controller.stdout.readline())
    os.kill(child, 0)

    controller.kill()
    await controller.wait()

    assert await ended(child)


async def test_stopping_asks_first(tmp_path: Path) -> None:
    child = await start_python(_ENDS_AT_SIGTERM, tmp_path / "log")
    await written(child, "up")

    assert await child.stop() == 3


async def test_stopping_insists_when_asking_does_not_help(tmp_path: Path) -> None:
    child = await start_python(_IGNORES_SIGTERM, tmp_path / "log")
    await written(child, "up")

    assert await child.stop(within=0.05) == -signal.SIGKILL


async def test_a_cancelled_stop_leaves_nothing_running(tmp_path: Path) -> None:
    child = await start_python(_IGNORES_SIGTERM, tmp_path / "log")
    await written(child, "up")
    stopping = asyncio.create_task(child.stop(within=600))
    await asyncio.sleep(0)

    stopping.cancel()

    assert await child.wait() == -signal.SIGKILL


async def test_stopping_twice_gives_the_same_exit_code(tmp_path: Path) -> None:
    child = await start_python("import sys; sys.exit(5)", tmp_path / "log")

    assert await child.wait() == 5
    assert await child.stop() == 5


async def test_a_server_that_dies_at_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    child = await start_python("import sys; sys.exit('no space left on device')", tmp_path / "log")

    async def never() -> bool:
        return False

    with pytest.raises(SetupError, match=r"the child ended at start with exit code 1;(.|\n)*no space left on device"):
        await processes.ready(child, never, within=10)


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    child = await processes.start("the child", ["/no/such/program"], log=tmp_path / "log")

    with pytest.raises(SetupError, match="cannot run /no/such/program"):
        await processes.finish(child, within=10)


async def test_a_child_starts_with_the_usual_signals(tmp_path: Path) -> None:
    """The interpreter in between ignores SIGPIPE; a child that inherits that never ends when its reader does."""
    shell = await processes.start("a shell", ["sh", "-c", "kill -PIPE $$"], log=tmp_path / "log")

    assert await shell.wait() == -signal.SIGPIPE


async def test_what_runs_before_is_kept_in_the_log(tmp_path: Path) -> None:
    for word in ("first", "second"):
        await processes.finish(await start_python(f"print('{word}')", tmp_path / "log"), within=10)

    assert (tmp_path / "log").read_text() == "first\nsecond\n"
