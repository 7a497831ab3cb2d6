"""What makes a caller be known, and see their own rows alone."""

from tests.mutants.mutant import Assertions, Edit, Mutant

ACCESS, TOKENS = "chassis/access.py", "chassis/tokens.py"
SCOPE_TESTS = "tests/chassis/test_scope.py::"
TOKENS_TESTS = "tests/chassis/test_tokens.py::"
VOIDS_TESTS = "tests/chassis/test_voids.py::"
BROKEN_TOKENS = Assertions((TOKENS_TESTS + "test_a_broken_token_is_answered_401_and_nothing_of_it_is_told",))

MUTANTS = (
    Mutant(
        "void tokens pass",
        "a token that is void is refused before it expires",
        ACCESS,
        (Edit("        if self._voids.hold(claims):", "        if self._voids.hold(claims) and not claims:"),),
        Assertions(
            ("tests/chassis/test_access.py::test_void_tokens_are_refused_also_those_that_were_verified_before",)
        ),
    ),
    Mutant(
        "mirror not awaited",
        "nobody is let in until it is known which tokens are void",
        ACCESS,
        (Edit("        if not self._voids.loaded:", "        if not token:"),),
        Assertions((VOIDS_TESTS + "test_an_api_is_not_ready_and_lets_nobody_in_until_it_knows_which_tokens_are_void",)),
    ),
    Mutant(
        "late commits missed",
        "what is noted first and committed last is in the mirror too",
        "chassis/voids.py",
        (Edit("since=0 if anew else self._horizon", "since=0 if anew else horizon"),),
        Assertions((VOIDS_TESTS + "test_what_is_noted_first_and_committed_last_is_seen_too",)),
    ),
    Mutant(
        "undeclared routes",
        "a route that does not say who may call it keeps its service from starting",
        ACCESS,
        (Edit("    if faults:\n", "    if faults and not routers:\n"),),
        Assertions(
            ("tests/chassis/test_access.py::test_an_app_with_a_route_that_does_not_say_who_may_call_it_does_not_start",)
        ),
    ),
    Mutant(
        "any audience",
        "a token is good for one service alone",
        TOKENS,
        (Edit("        if body.aud != self._audience:", "        if not body.aud:"),),
        BROKEN_TOKENS,
    ),
    Mutant(
        "any life",
        "a token lives five minutes at most, whoever signed it",
        TOKENS,
        (
            Edit(
                "        if not 0 < self.exp - self.iat <= LONGEST_SECONDS:", "        if not 0 < self.exp - self.iat:"
            ),
        ),
        BROKEN_TOKENS,
    ),
    Mutant(
        "remembered for ever",
        "a token that was verified before expires all the same",
        TOKENS,
        (
            Edit(
                "        if claims.expires_at.timestamp() <= time.time():",
                "        if token not in self._known and claims.expires_at.timestamp() <= time.time():",
            ),
        ),
        Assertions((TOKENS_TESTS + "test_a_token_that_is_remembered_is_refused_once_it_has_expired_and_is_forgotten",)),
    ),
    Mutant(
        "scope of the session",
        "whose rows are seen ends with the transaction",
        "chassis/postgres.py",
        (Edit("set_config('samband.scope', $1, true)", "set_config('samband.scope', $1, false)"),),
        Assertions((SCOPE_TESTS + "test_a_scope_ends_with_its_transaction_also_when_that_fails",)),
    ),
    Mutant(
        "messages see all",
        "a message is acted on among the rows of its own organisation",
        "chassis/handlers.py",
        (
            Edit(
                "            await set_scope(conn, scope_of(message))\n            await handler",
                "            await set_scope(conn, scope.SYSTEM)\n            await handler",
            ),
        ),
        Assertions(
            (
                SCOPE_TESTS
                + "test_each_message_of_a_batch_is_acted_on_in_its_own_organisation_also_where_the_batch_is_taken_apart",
            )
        ),
    ),
    Mutant(
        "scope in the savepoint",
        "a request that is refused takes nothing of the next one's scope with it",
        "chassis/requests.py",
        (
            Edit(
                "            await set_scope(conn, scope_of(message))  # Before the savepoint, whose end would take it back.\n",
                "",
            ),
            Edit(
                "                given = await handler(conn, message, caller)\n",
                "                await set_scope(conn, scope_of(message))\n"
                "                given = await handler(conn, message, caller)\n",
            ),
        ),
        Assertions(
            (
                SCOPE_TESTS
                + "test_each_request_of_a_system_is_acted_on_in_its_organisation_also_behind_one_that_was_refused",
            )
        ),
    ),
)
