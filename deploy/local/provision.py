"""Provision: what a database's administrator gives each service before it ever runs.

A schema with two roles: an owner that migrates, and a login role that owns nothing and may read and write rows. Another
service's schema is closed to both.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

NAME = re.compile(r"[a-z][a-z_]*")

# Roles are the cluster's, and several runs may share one. Advisory locks are a database's, so this runs in the
# administrator's own.
ROLES = """
do $$ begin
    perform pg_advisory_xact_lock(hashtext('samband roles'));
    if not exists (select from pg_roles where rolname = '{schema}_owner') then create role {schema}_owner; end if;
    if not exists (select from pg_roles where rolname = '{schema}_app') then create role {schema}_app; end if;
    alter role {schema}_owner login password '{owner_password}' nosuperuser nocreatedb nocreaterole;
    alter role {schema}_app login password '{app_password}' nosuperuser nocreatedb nocreaterole;
    alter role {schema}_app set search_path = {schema};
end $$"""

SCHEMA = """
create schema {schema} authorization {schema}_owner;
grant usage on schema {schema} to {schema}_app;
alter default privileges for role {schema}_owner in schema {schema}
    grant select, insert, update, delete on tables to {schema}_app;
alter default privileges for role {schema}_owner in schema {schema} grant usage on sequences to {schema}_app"""


@dataclass(frozen=True, slots=True)
class Urls:
    """How a service reaches its schema: `app` to work, `owner` to migrate."""

    app: str
    owner: str

    def of(self, database: str) -> Urls:
        """Give the same roles' way into another database of the cluster, such as a clone."""
        return Urls(_with_database(self.app, database), _with_database(self.owner, database))


async def provision(admin: str, database: str, services: Iterable[str]) -> dict[str, Urls]:
    """Create the database, and each service's roles and schema in it; gives the way in of each.

    `admin` is a superuser's URL. Passwords are derived from it, so that runs that share a cluster agree on them.
    """
    names = [_checked(service) for service in services]
    conn = await asyncpg.connect(admin)
    try:
        await conn.execute(f"create database {_checked(database)}")  # lint: allow sql -- a checked name, no parameter
        for name in names:
            passwords = {f"{kind}_password": _password(admin, f"{name}_{kind}") for kind in ("owner", "app")}
            # lint: allow sql -- names are checked, and passwords are hexadecimal; neither can be a parameter
            await conn.execute(ROLES.format(schema=name, **passwords))
    finally:
        await conn.close()
    conn = await asyncpg.connect(_with_database(admin, database))
    try:
        await conn.execute("revoke all on schema public from public")
        for name in names:
            await conn.execute(SCHEMA.format(schema=name))  # lint: allow sql -- a checked name, no parameter
    finally:
        await conn.close()
    return {
        name: Urls(_with_role(admin, database, f"{name}_app"), _with_role(admin, database, f"{name}_owner"))
        for name in names
    }


def _checked(name: str) -> str:
    if not NAME.fullmatch(re.sub(r"[0-9]", "", name)):
        reason = f"{name!r} is no plain name"
        raise ValueError(reason)
    return name


def _password(admin: str, role: str) -> str:
    return hmac.digest(admin.encode(), role.encode(), hashlib.sha256).hex()


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _with_role(admin: str, database: str, role: str) -> str:
    parts = urlsplit(admin)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{_password(admin, role)}@{host}", path=f"/{database}"))
