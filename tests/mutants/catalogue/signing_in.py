"""What makes a code good for one session, and guessing dear."""

from tests.mutants.mutant import Assertions, Edit, Mutant

STORE = "services/auth/codes/store.py"
PASSWORDS = "services/auth/passwords/store.py"
SINGLE_USE = "tests/auth/codes/test_single_use.py::"
NEW = "tests/auth/codes/test_new_passwords.py::"
BLOCKS = "tests/auth/passwords/test_blocks.py::"

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
    Mutant(
        "free passwords",
        "a password is counted as wrong for good before it is compared",
        "services/auth/passwords/api.py",
        (
            Edit(
                """            reach("passwords.counted")
            renewed = await slot.compare(guess.account_id, body.password, guess.kept)
""",
                """                reach("passwords.counted")
                renewed = await slot.compare(guess.account_id, body.password, guess.kept)
""",
            ),
        ),
        Assertions((BLOCKS + "test_a_guess_counts_though_its_comparison_fails",)),
    ),
    Mutant(
        "blocked in passing",
        "nothing is compared while an account is blocked, however many try at once",
        PASSWORDS,
        (Edit("where b.blocked_until is null or b.blocked_until <= now()\nreturning true", "returning true"),),
        Assertions(
            (BLOCKS + "test_of_guesses_over_200_connections_five_are_compared_and_the_others_look_alike",),
        ),
    ),
    Mutant(
        "codes past the block",
        "the block holds for codes and links too",
        PASSWORDS,
        (
            Edit(
                "select exists (select from blocks where subject = $1 and blocked_until > now())",
                "select exists (select from blocks where subject = $1 and blocked_until < now())",
            ),
        ),
        Assertions((BLOCKS + "test_while_blocked_no_code_is_mailed_and_one_from_before_opens_nothing",)),
    ),
    Mutant(
        "nobody's hash",
        "where there is no password one is compared all the same",
        "services/auth/passwords/hashing.py",
        (
            Edit(
                "        right = await self._hashing.run(",
                "        if kept is None:\n            return None\n        right = await self._hashing.run(",
            ),
        ),
        Assertions(("tests/auth/passwords/test_log_ins.py::test_the_same_statements_are_run_whoever_has_the_login",)),
    ),
    Mutant(
        "weak password, spent code",
        "a password that is not good costs no try and no code",
        "services/auth/codes/password_api.py",
        (
            Edit(
                """        policy.require_good(body.new_password, [*front.settings.password_words, typed or ""])
        async with hashing.slot() as slot:
            async with database.transaction() as conn:  # The try is counted for good before the code is judged.
""",
                """        async with hashing.slot() as slot:
            async with database.transaction() as conn:  # The try is counted for good before the code is judged.
""",
            ),
            Edit(
                """            if not right or attempt.account_id is None:
""",
                """            policy.require_good(body.new_password, [*front.settings.password_words, typed or ""])
            if not right or attempt.account_id is None:
""",
            ),
        ),
        Assertions((NEW + "test_a_password_that_is_not_good_costs_neither_a_try_nor_the_code",)),
    ),
    Mutant(
        "link used again",
        "a link sets one password, whoever brings it at the same time",
        STORE,
        (
            Edit(
                "and c.purpose = 'password_instructions' and c.used_at is null and c.expires_at > now()",
                "and c.purpose = 'password_instructions' and c.expires_at > now()",
            ),
        ),
        Assertions((NEW + "test_100_parallel_uses_of_a_link_set_one_password",)),
    ),
)
