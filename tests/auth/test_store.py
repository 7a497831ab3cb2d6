"""Every statement of auth fits the migrated schema, and the hot ones find their rows by an index."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from services.auth.codes import store as codes
from services.auth.identities import store as identities
from services.auth.identity_providers import store as identity_providers
from services.auth.passwords import store as passwords
from services.auth.sessions import store as sessions
from services.auth.terms import store as terms
from services.auth.users import store as users
from tests.auth.rooms import modules
from tests.auth.world import Owner, World, age

AS_IF_NEVER_VACUUMED = "update pg_class set reltuples = -1, relpages = 0 where relnamespace = 'auth'::regnamespace"
"""Of a table that it knows to be empty the planner takes any index at all: it is known once a vacuum has come by."""
VERBS = ("select", "insert", "update", "delete", "with")


def statements() -> Iterator[tuple[str, str]]:
    """Give all SQL by name."""
    for module in modules("store"):
        for name, value in vars(module).items():
            if isinstance(value, str) and value.lstrip().startswith(VERBS):
                yield f"{module.__name__}.{name}", value


async def test_every_statement_fits_the_schema(world: World) -> None:
    found = dict(statements())
    assert len(found) > 15
    assert all(name.rpartition(".")[2].isupper() for name in found)
    async with world.database.transaction() as conn:
        for sql in found.values():
            await conn.prepare(sql)


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (codes.CLAIM_ASK, (), "challenges_unsettled"),
        (users.SELECT_USERS_BY_NAME, (uuid4(), *[None] * 5, "kari", uuid4(), 50), "accounts_by_name"),
        (users.SELECT_USERS_BY_ADDRESS, (uuid4(), *[None] * 7, 50), "accounts_by_address"),
        (users.SELECT_USERS_BY_CHANGE, (uuid4(), *[None] * 5, "0", uuid4(), 50), "accounts_by_change"),
        (codes.USE_LINK, (b"d",), "challenges_link"),
        (passwords.INSERT_ATTEMPT, (b"s", 300), "password_attempts_of_source"),
        (passwords.SELECT_CANDIDATE, ("kari", b"b"), "accounts_user_name_once"),
        (passwords.CLAIM_BLOCK, (), "blocks_untold"),
        (passwords.SELECT_BLOCKED, (b"s",), "blocks_pk"),
        (passwords.DELETE_BLOCKS_OF_ACCOUNT, (uuid4(),), "blocks_of_account"),
        (identities.SELECT_PROOF, (b"t",), "identity_proofs_token_once"),
        (identity_providers.USE_FLOW, (b"s", b"b", "p"), "oidc_flows_state_once"),
        (identity_providers.SELECT_SESSIONS_OF_NAME, ("i", "n"), "provider_sessions_of_issuer"),
        (codes.SELECT_LIVE_CHALLENGES, (b"b", "login"), "challenges_of_browser"),
        (codes.COUNT_TRIES, (b"b", b"a", "login"), "challenges_of_browser"),
        (codes.COUNT_ISSUED, (uuid4(), b"b"), "challenges_of_account"),
        (codes.COUNT_ATTEMPTS, (b"s",), "code_attempts_of_subject"),
        (codes.USE_CODE, ([uuid4()], [b"d"]), "using challenges_"),
        (sessions.TOUCH_SESSION, (b"t",), "sessions_token_once"),
        (sessions.TOUCH_SESSION_BY_ID, (uuid4(),), "sessions_pk"),
        (sessions.SELECT_OPEN_SESSIONS, (uuid4(),), "sessions_of_account"),
        (sessions.PRUNE_SESSIONS, (5,), "sessions_ending"),
        (sessions.PRUNE_DEVICES, (5,), "known_devices_seen"),
        (sessions.PRUNE_ASSERTIONS, (5,), "client_assertions_expired"),
        (sessions.ROTATE_FAMILY, (uuid4(), 1), "refresh_families_pk"),
        (terms.SELECT_STANDINGS, (uuid4(), ["t"]), "terms_acceptances_pk"),
    ],
)
async def test_a_hot_statement_finds_its_rows_by_an_index(
    world: World, owner: Owner, statement: str, values: tuple[object, ...], index: str
) -> None:
    await owner.execute(AS_IF_NEVER_VACUUMED)
    async with world.database.transaction() as conn:
        await conn.execute("set local enable_seqscan = off")
        assert index in str(await conn.fetch(f"explain {statement}", *values))


async def test_what_is_a_day_past_its_use_is_deleted_a_chunk_at_a_time(world: World, owner: Owner) -> None:
    await world.add("kari@example.no")
    for _ in range(3):
        await world.logged_in("kari@example.no")
    await age(owner, "sessions", hours=8)
    for what in ("challenges", "code_attempts", "sessions"):
        await age(owner, what, hours=24)
    fresh = await world.browser().ask("kari@example.no")
    counts = []
    for _ in range(3):
        async with world.database.transaction() as conn:
            counts.append(max(await codes.prune(conn, 2), await sessions.prune(conn, 2)))
    assert counts == [2, 1, 0]
    assert [str(row["id"]) for row in await owner.fetch("select id from auth.challenges")] == [fresh["challenge_id"]]
    assert await owner.fetchval("select count(*) from auth.code_attempts") == 0
    assert await owner.fetchval("select count(*) from auth.sessions") == 0


async def test_nothing_is_deleted_within_a_day(world: World, owner: Owner) -> None:
    await world.add("kari@example.no")
    browser = await world.logged_in("kari@example.no")
    for what in ("challenges", "code_attempts"):
        await age(owner, what, hours=23, minutes=59)
    async with world.database.transaction() as conn:
        assert await codes.prune(conn, 100) == await sessions.prune(conn, 100) == 0
    assert (await browser.session()).status_code == 200


async def test_a_browser_that_was_not_seen_for_as_long_as_its_cookie_lives_is_known_no_more(
    world: World, owner: Owner
) -> None:
    await world.add("kari@example.no")
    for _ in range(2):
        await world.logged_in("kari@example.no")
    for days, left in ((179, 2), (1, 0)):
        await owner.execute("update auth.known_devices set seen_at = seen_at - make_interval(days => $1)", days)
        async with world.database.transaction() as conn:
            assert await sessions.prune(conn, 5) == 2 - left
        assert await owner.fetchval("select count(*) from auth.known_devices") == left


async def test_passwords_tried_and_blocks_are_forgotten_a_day_after(world: World, owner: Owner) -> None:
    await world.add_with_password("kari@example.no")
    for browser in world.browsers(5):
        await browser.log_in("kari@example.no", "feil feil feil feil")
    await age(owner, "blocks", seconds=10)
    await world.tell_all_blocks()
    for what in ("password_attempts", "blocks", "block_notices"):
        await age(owner, what, hours=23, minutes=59)
    async with world.database.transaction() as conn:
        assert await passwords.prune(conn, 100) == 0
    for what in ("password_attempts", "blocks", "block_notices"):
        await age(owner, what, minutes=1)
    counts = []
    for _ in range(3):
        async with world.database.transaction() as conn:
            counts.append(await passwords.prune(conn, 3))
    assert counts == [3, 2, 0]
    for table in ("password_attempts", "blocks", "block_notices"):
        assert await owner.fetchval(f"select count(*) from auth.{table}") == 0  # noqa: S608 -- named above.
    assert (await world.browser().log_in("kari@example.no")).status_code == 201
