"""What makes a code good for one session, and guessing dear."""

from tests.mutants.mutant import Assertions, Edit, Mutant

STORE = "services/auth/codes/store.py"
SINGLE_USE = "tests/auth/codes/test_single_use.py::"

MUTANTS = (
    Mutant(
        "used again",
        "a code is used up once, whoever tries at the same time",
        STORE,
        (
            Edit(
                "tried.id and c.code_digest = tried.digest and c.used_at is null and",
                "tried.id and c.code_digest = tried.digest and",
            ),
        ),
        Assertions((SINGLE_USE + "test_500_parallel_submits_of_the_right_code_give_one_session",)),
    ),
    Mutant(
        "expired code",
        "a code is good until it expires, by the clock of the statement that uses it",
        STORE,
        (
            Edit(
                "tried.digest and c.used_at is null and c.expires_at > now()\n",
                "tried.digest and c.used_at is null\n",
            ),
        ),
        Assertions((SINGLE_USE + "test_a_code_that_expires_between_its_count_and_its_judgement_is_refused",)),
    ),
    Mutant(
        "free guesses",
        "a try is counted for good before it is judged",
        "services/auth/codes/api.py",
        (
            Edit(
                """        reach("api.counted")
        try:
            async with database.transaction() as conn:
                token = await login_codes.redeem(
                    conn, attempt, body.code, keys=keys, chance=front.chance, replacing=before
                )
                session = await sessions.current(conn, token, keys=keys)
""",
                """            reach("api.counted")
            token = await login_codes.redeem(
                conn, attempt, body.code, keys=keys, chance=front.chance, replacing=before
            )
            session = await sessions.current(conn, token, keys=keys)
        try:
            pass
""",
            ),
        ),
        Assertions((SINGLE_USE + "test_a_try_counts_though_its_judgement_fails",)),
    ),
    Mutant(
        "guesses side by side",
        "the tries of a subject are counted one after the other",
        STORE,
        (
            Edit(
                "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))",
                "select encode($1, 'hex')",
            ),
        ),
        Assertions(("tests/auth/codes/test_tries_in_turn.py",)),
    ),
    Mutant(
        "asks side by side",
        "codes of an account are issued one after the other",
        "services/auth/people/store.py",
        (
            Edit(
                "from accounts where address = $1 or user_name_key = $1\nfor no key update",
                "from accounts where address = $1 or user_name_key = $1",
            ),
        ),
        Assertions(
            ("tests/auth/codes/test_login_codes.py::test_workers_side_by_side_issue_each_code_once_and_none_too_many",)
        ),
    ),
)
