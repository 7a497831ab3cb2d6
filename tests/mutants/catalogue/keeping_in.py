"""What a session gives, and what ends with it."""

from tests.mutants.mutant import Assertions, Edit, Mutant

STORE = "services/auth/sessions/store.py"
TESTS = "tests/auth/sessions/"

MUTANTS = (
    Mutant(
        "copied refresh token",
        "a refresh token that was followed by another ends its chain and its session",
        STORE,
        (
            Edit(
                "ended_at = case when latest = $2\n",
                "ended_at = case when latest >= $2\n",
            ),
        ),
        Assertions(
            (
                TESTS
                + "test_refresh_tokens.py::test_a_token_that_was_followed_10_seconds_ago_ends_the_chain_and_its_session",
            )
        ),
    ),
    Mutant(
        "two tabs",
        "two tabs that present one refresh token at once both go on",
        STORE,
        (Edit(" > now() - interval '10 seconds' then null else now() end", " > now() then null else now() end"),),
        Assertions(
            (TESTS + "test_refresh_tokens.py::test_two_tabs_that_present_one_token_at_once_go_on_with_the_same_next",)
        ),
    ),
    Mutant(
        "proof used again",
        "a system's proof is taken once",
        STORE,
        (
            Edit(
                "on conflict on constraint client_assertions_once do nothing",
                "on conflict on constraint client_assertions_once do update set expires_at = excluded.expires_at",
            ),
        ),
        Assertions(
            (TESTS + "test_client_credentials.py::test_a_proof_is_taken_once_whoever_brings_it_at_the_same_time",)
        ),
    ),
    Mutant(
        "terms passed by",
        "no token is given for a service whose terms are not accepted",
        "services/auth/terms/terms.py",
        (Edit("if each.accepted is None]:", "if each.version is not None and False]:"),),
        Assertions(
            ("tests/auth/terms/test_terms.py::test_nothing_of_the_service_is_reachable_before_they_are_accepted",)
        ),
    ),
    Mutant(
        "planted session",
        "the session that a browser came with ends when somebody logs in",
        "services/auth/sessions/sessions.py",
        (Edit("    if replacing is not None:\n", "    if replacing is not None and not replacing:\n"),),
        Assertions((TESTS + "test_sessions.py::test_a_log_in_ends_the_session_that_the_browser_came_with",)),
    ),
    Mutant(
        "only by the bus",
        "auth itself refuses tokens that it has declared void though the bus is away",
        "services/auth/people/security.py",
        (Edit("    await voids.note(conn, voided)\n", ""),),
        Assertions(
            (
                TESTS + "test_access_tokens.py::"
                "test_auth_refuses_its_own_tokens_of_whoever_is_voided_though_the_bus_says_nothing",
            )
        ),
    ),
)
