"""PostgreSQL: the one that is given, or one of our own that dies and comes back with its data."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from deploy.local import postgres
from deploy.local.errors import SetupError
from tests.deploy.conftest import needs_root


async def fetch(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_given_address_is_used_and_nothing_started(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with postgres.Server(run_folder / "given") as given:
        monkeypatch.setenv(postgres.ADDRESS, given.url)
        async with postgres.provide(run_folder / "own") as url:
            assert url == given.url
        assert not (run_folder / "own").exists()
        assert await fetch(given.url, "SELECT 1") == 1


async def test_a_given_address_must_answer(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgres.ADDRESS, "postgresql://me:secret-word@127.0.0.1:1/postgres")

    with pytest.raises(SetupError, match="SAMBAND_LOCAL_POSTGRES") as raised:
        async with postgres.provide(run_folder):
            pass

    assert "secret-word" not in str(raised.value)


async def test_a_given_address_must_be_a_superuser_s(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with postgres.Server(run_folder / "given") as given:
        await fetch(given.url, "CREATE ROLE clerk LOGIN PASSWORD 'clerk'")
        address = given.url.replace(given.url.split("/")[2].split("@")[0], "clerk:clerk")
        monkeypatch.setenv(postgres.ADDRESS, address)

        with pytest.raises(SetupError, match="superuser"):
            async with postgres.provide(run_folder):
                pass


async def test_what_was_committed_survives_a_killed_server(run_folder: Path) -> None:
    async with postgres.Server(run_folder / "postgres") as server:
        await fetch(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        server.process.kill()
        await server.process.wait()
        await server.start()

        assert await fetch(server.url, "SELECT answer FROM kept") == 42


async def test_a_wrong_password_is_refused(run_folder: Path) -> None:
    async with postgres.Server(run_folder / "postgres") as server:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await fetch(server.url.replace("postgres:", "postgres:not"), "SELECT 1")


@needs_root
async def test_programs_that_only_root_can_read_are_copied(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_the_run_folder(path: Path) -> bool:
        return path.is_relative_to(run_folder)

    monkeypatch.setattr(postgres, "passable", only_the_run_folder)
    async with postgres.Server(run_folder / "postgres") as server:
        assert (run_folder / "postgres" / "programs").is_dir()
        assert await fetch(server.url, "SELECT lower('ÆØÅ')") == "æøå"


@needs_root
async def test_a_folder_that_the_server_cannot_enter_is_named(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    with pytest.raises(SetupError, match="cannot enter"):
        await postgres.Server(private / "postgres").start()
