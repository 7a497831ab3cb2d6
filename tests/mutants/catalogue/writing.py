"""What keeps a change and its message together: transactions, idempotency keys, the order of a book."""

from tests.mutants.mutant import Assertions, Edit, Mutant, Rounds

ENTRIES = "tests/faults/ledger/entries.py"
CODES = "services/auth/codes/challenges.py"
OWING = Assertions(("tests/auth/codes/test_codes_owed.py",))
CROWDED = Rounds(("replay",), commands=1000, pace=250, books=1)

MUTANTS = (
    Mutant(
        "message first",
        "a message is owed in the transaction that makes it true, not before",
        CODES,
        (
            Edit(
                "    await store.settle_ask(conn, wanted.id, account.id,",
                """    await outbox.add(conn, message)
    await conn.execute("commit; begin")
    await store.settle_ask(conn, wanted.id, account.id,""",
            ),
            Edit(
                """    await outbox.add(conn, message)
    reach(""",
                "    reach(",
            ),
        ),
        OWING,
    ),
    Mutant(
        "message later",
        "a message is owed in the transaction that makes it true, not after",
        CODES,
        (
            Edit(
                "    await outbox.add(conn, message)",
                """    await conn.execute("commit; begin")
    await outbox.add(conn, message)""",
            ),
        ),
        OWING,
    ),
    Mutant(
        "key ignored",
        "a write that names its idempotency key happens once",
        "chassis/idempotency.py",
        (Edit("    if request_key is None:\n", "    if request_key is None or True:\n"),),
        Assertions(
            (
                "tests/chassis/test_idempotency.py",
                "tests/auth/test_api.py::test_an_ask_that_is_sent_again_under_its_key_is_one_challenge",
            )
        ),
    ),
    Mutant(
        "key kept alone",
        "the idempotency key is durable with the work, not before it",
        "chassis/idempotency.py",
        (
            Edit(
                "    answer = await work()\n    await settle_key(",
                '    await conn.execute("commit; begin")\n    answer = await work()\n    await settle_key(',
            ),
        ),
        Assertions(("tests/chassis/test_idempotency.py",)),
    ),
    Mutant(
        "order lock",
        "the outbox id is taken while the book's row is locked, so that it follows the commits",
        ENTRIES,
        (
            Edit(
                '    version = int(row["version"])\n',
                '    version = int(row["version"])\n    await conn.execute("commit; begin")\n',
            ),
        ),
        CROWDED,
        frozenset({"disordered"}),
    ),
    Mutant(
        "no transaction",
        "what is written in one block is committed together or not at all",
        "chassis/postgres.py",
        (Edit("await attempt.enter_async_context(conn.transaction())", "await conn.fetchval('select 1')"),),
        Assertions(
            (
                "tests/chassis/test_postgres.py::test_a_block_that_raises_leaves_nothing_and_rings_nothing",
                "tests/auth/people/test_accounts.py::test_an_account_and_what_is_told_of_it_are_kept_together_or_not_at_all",
            )
        ),
    ),
)
