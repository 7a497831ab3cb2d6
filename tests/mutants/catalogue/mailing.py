"""What keeps a mail from being lost, sent twice, or sent with a code that no longer counts."""

from tests.mutants.mutant import Assertions, Edit, Mutant, Rounds

STORE = "services/notifications/store.py"
COURIER = "services/notifications/courier.py"
COURIERS_DYING = Rounds(("die: courier",) * 4, first_seed=49)
COURIER_TESTS = "tests/notifications/test_courier.py::"
STORE_TESTS = "tests/notifications/test_store.py::"

MUTANTS = (
    Mutant(
        "claim open",
        "a mail that a courier holds is no other courier's",
        STORE,
        (Edit(" and (m.claimed_until is null or m.claimed_until < now())\n", "\n"),),
        Assertions(
            (
                STORE_TESTS + "test_a_claim_counts_the_attempt_and_holds_the_mail_for_its_seconds",
                "tests/notifications/test_courier_claims.py::test_two_couriers_send_each_of_forty_mails_exactly_once",
            )
        ),
    ),
    Mutant(
        "claim unconfirmed",
        "a courier that was overtaken sends nothing",
        STORE,
        (
            Edit(
                "where id = $1 and claim = $2 and settled_at is null and expires_at > now() returning true",
                "where id = $1 and $2::uuid is not null and settled_at is null and expires_at > now() returning true",
            ),
        ),
        Assertions((STORE_TESTS + "test_a_claim_that_was_overtaken_confirms_settles_and_postpones_nothing",)),
    ),
    Mutant(
        "expiry unasked",
        "whether a code still counts is asked right before the text goes",
        STORE,
        (
            Edit(
                " and settled_at is null and expires_at > now() returning true",
                " and settled_at is null returning true",
            ),
        ),
        Assertions((COURIER_TESTS + "test_a_code_that_expires_while_the_server_takes_the_address_is_never_sent",)),
    ),
    Mutant(
        "settled unsent",
        "a mail is settled after it was handed over, not before",
        COURIER,
        (
            Edit(
                '        reach("courier.confirmed")\n',
                """        if confirmed:
            await self._settle(mail, Answer(Verdict.TAKEN, 250))
        reach("courier.confirmed")
""",
            ),
        ),
        COURIERS_DYING,
        frozenset({"mails lost"}),
    ),
    Mutant(
        "outcome untold",
        "a mail is settled in the transaction that owes the event about it",
        COURIER,
        (
            Edit(
                """                log.warning("mail_sent_after_its_claim", mail_id=str(mail.id))
                return
""",
                """                log.warning("mail_sent_after_its_claim", mail_id=str(mail.id))
                return
        async with self._database.transaction() as conn:
""",
            ),
        ),
        Assertions(("tests/notifications/test_courier_outcomes.py",)),
    ),
)
