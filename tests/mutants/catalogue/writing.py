"""What keeps a change and its message together: transactions, idempotency keys, the order of a book."""

from tests.mutants.mutant import Assertions, Edit, Mutant, Rounds

ENTRIES = "tests/faults/ledger/entries.py"
SERVICE = "tests/faults/ledger/__main__.py"
DYING = Rounds(("die: api",) * 6, commands=400, first_seed=137)
CROWDED = Rounds(("replay",), commands=1000, pace=250, books=1)

MUTANTS = (
    Mutant(
        "message first",
        "a message is owed in the transaction that makes it true, not before",
        ENTRIES,
        (
            Edit(
                """    await conn.execute(INSERT_ENTRY, wanted.book_id, version, wanted.entry_id)
    reach("ledger.written")
""",
                "",
            ),
            Edit(
                """    reach("ledger.owed")
""",
                """    await conn.execute("commit; begin")
    reach("ledger.owed")
    await conn.execute(INSERT_ENTRY, wanted.book_id, version, wanted.entry_id)
""",
            ),
        ),
        DYING,
        frozenset({"ghosts", "twice"}),
    ),
    Mutant(
        "message later",
        "a message is owed in the transaction that makes it true",
        ENTRIES,
        (
            Edit("INSERT_ENTRY = ", "LATER = {}\nINSERT_ENTRY = "),
            Edit("    await outbox.add(\n        conn,\n", "    LATER.setdefault(wanted.entry_id, []).append(\n"),
            Edit(
                '        reach("ledger.committed")\n',
                """        reach("ledger.committed")
        async with runtime.database.transaction() as conn:
            for event in entries.LATER.pop(body.entry_id, ()):
                await entries.outbox.add(conn, event)
""",
                SERVICE,
            ),
        ),
        DYING,
        frozenset({"zombies"}),
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
                "tests/auth/test_accounts.py::test_an_account_and_what_is_told_of_it_are_kept_together_or_not_at_all",
            )
        ),
    ),
)
