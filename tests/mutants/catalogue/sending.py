"""What keeps the relay from losing a message or sending a key out of order."""

from tests.mutants.mutant import Assertions, Edit, Mutant, Rounds

RELAY = "chassis/relay.py"
OUTBOX = "chassis/outbox.py"

MUTANTS = (
    Mutant(
        "cursor",
        "the relay sends what is there, not what lies behind the highest id it has seen",
        OUTBOX,
        (
            Edit(
                "where id not in (select id from gone)\n",
                "where id not in (select id from gone) and id > (select coalesce(max(id), 0) from outbox_published)\n",
            ),
        ),
        Assertions(("tests/chassis/test_outbox.py::test_a_row_whose_transaction_commits_late_is_not_skipped",)),
    ),
    Mutant(
        "settled first",
        "a message leaves the outbox after Kafka acknowledged it, not before it is sent",
        RELAY,
        (
            Edit(
                '            reach("relay.read")\n',
                """            ids = [row.id for row in rows]
            await outbox.cycle(conn, ids, archive=True, held_keys=[], held_topics=[], limit=0)
            reach("relay.read")
""",
            ),
        ),
        Rounds(("die: relay",) * 6, first_seed=11),
        frozenset({"lost"}),
    ),
    Mutant(
        "unknown is yes",
        "a send that timed out is sent again",
        RELAY,
        (
            Edit(
                "            case Outcome.ACKNOWLEDGED:\n", "            case Outcome.ACKNOWLEDGED | Outcome.UNKNOWN:\n"
            ),
        ),
        Assertions(
            (
                "tests/chassis/test_relay.py::test_a_topic_without_enough_replicas_holds_up_no_other_topic_and_goes_on_in_order",
            )
        ),
    ),
    Mutant(
        "all acknowledged",
        "only what fitted into the batch is taken for sent",
        RELAY,
        (Edit("self._acknowledge(rows[:taken])", "self._acknowledge(rows)"),),
        Assertions(("tests/chassis/test_relay_batches.py",)),
    ),
    Mutant(
        "held keys pass",
        "messages of a key wait behind one that Kafka refuses",
        OUTBOX,
        (
            Edit(
                "  and (topic, key) not in (select * from unnest($3::text[], $4::text[]))\n",
                "  and $3::text[] is not null and $4::text[] is not null\n",
            ),
        ),
        Assertions(
            (
                "tests/chassis/test_outbox.py::test_a_cycle_passes_over_held_keys_and_topics_and_nothing_else",
                "tests/chassis/test_relay.py::test_a_message_that_kafka_refuses_holds_its_own_key_and_nobody_elses",
            )
        ),
    ),
    Mutant(
        "held topics pass",
        "messages of a topic wait behind those of which nobody knows whether they were sent",
        RELAY,
        (Edit("                        self._hold_topic(topic)\n", "                        pass\n"),),
        Assertions(("tests/chassis/test_relay_holds.py",)),
    ),
)
