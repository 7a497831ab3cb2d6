"""What makes a message have its effect once, in order, whatever dies: inbox, positions, dead letters."""

from tests.mutants.mutant import Assertions, Edit, Mutant, Rounds

BATCHES = "chassis/batches.py"
CONSUME = "chassis/consume.py"
DEAD_LETTERS = "chassis/dead_letters.py"
READING = Rounds(("die: consumer", "die: consumer", "die: consumer", "replay"), first_seed=51)
LETTER_TESTS = "tests/chassis/test_dead_letters.py::"
CONSUMER_TESTS = "tests/chassis/test_consume.py::"

MUTANTS = (
    Mutant(
        "inbox",
        "a message that comes again is known",
        "chassis/inbox.py",
        (
            Edit(
                "    fresh = {(row[0], row[1]) for row in rows if row[1] is not None}\n", "    fresh = set(messages)\n"
            ),
        ),
        READING,
        frozenset({"twice"}),
    ),
    Mutant(
        "claim first",
        "the inbox row is written in the transaction of the effect",
        BATCHES,
        (
            Edit(
                "        claim = await self._claim(conn, arrivals)\n        reach(",
                """        async with self._database.transaction() as first:
            claim = await self._claim(first, arrivals)
        reach(""",
            ),
        ),
        READING,
        frozenset({"lost"}),
    ),
    Mutant(
        "position first",
        "the position is written in the transaction of the effect",
        BATCHES,
        (
            Edit(
                "        messages = [arrival.identity for arrival in arrivals]\n",
                """        async with self._database.transaction() as first:
            await inbox.claim(first, self.lane, [], reached=reached, keys=[])
        messages = [arrival.identity for arrival in arrivals]
""",
            ),
        ),
        READING,
        frozenset({"lost", "disordered"}),
    ),
    Mutant(
        "offset first",
        "Kafka's offset is committed after the work, so that what is not done counts as waiting",
        CONSUME,
        (Edit("AckPolicy.NACK_ON_ERROR", "AckPolicy.ACK_FIRST"),),
        Assertions(("tests/chassis/test_offsets.py::test_a_message_counts_as_waiting_until_it_is_handled",)),
    ),
    Mutant(
        "latest",
        "where a place is gone from Kafka, the oldest message that is left is the next",
        CONSUME,
        (Edit('auto_offset_reset="earliest"', 'auto_offset_reset="latest"'),),
        Assertions(
            (
                "tests/chassis/test_offsets.py::test_who_was_away_longer_than_kafka_keeps_messages_goes_on_with_the_oldest_that_is_left",
            )
        ),
    ),
    Mutant(
        "positions unread",
        "a consumer goes on from the position in its own database",
        CONSUME,
        (Edit("known.get(own, Position(0))", "Position(0)"),),
        Assertions(
            (CONSUMER_TESTS + "test_rewound_group_offsets_change_nothing_because_the_positions_are_in_the_database",)
        ),
    ),
    Mutant(
        "no seek",
        "what was fetched and passed over before the positions were known comes again",
        CONSUME,
        (
            Edit(
                "            client.seek(partition, self._continuity.expect(own, position))\n",
                "            if own in known:\n                client.seek(partition, self._continuity.expect(own, position))\n",
            ),
        ),
        Assertions((CONSUMER_TESTS + "test_what_arrives_before_the_positions_are_known_is_not_lost",)),
    ),
    Mutant(
        "not positioned",
        "nothing is handled of a partition whose position is not known yet",
        CONSUME,
        (
            Edit("            if (record.topic.removeprefix(", "            if True or (record.topic.removeprefix("),
            Edit("first.offset < self._reached[own] - 1", "first.offset < self._reached.get(own, 0) - 1"),
        ),
        Assertions(("tests/chassis/test_positions.py",)),
    ),
    Mutant(
        "position back",
        "a position only goes forward, whoever commits late",
        "chassis/inbox.py",
        (Edit("        where consumer_positions.next_offset < excluded.next_offset\n", ""),),
        Assertions(
            (
                "tests/chassis/test_positions.py::test_who_lost_a_partition_and_commits_late_does_not_set_its_position_back",
            )
        ),
    ),
    Mutant(
        "failed client kept",
        "a Kafka client that failed is replaced, and what it had taken comes again",
        CONSUME,
        (Edit("            self._ended.set_exception(error)\n", "            return\n"),),
        Assertions(
            ("tests/chassis/test_client_failures.py::test_a_coordinator_s_strange_answer_does_not_end_the_reading",)
        ),
    ),
    Mutant(
        "batch dropped",
        "a batch that fails is taken apart, and each message is handled or set aside",
        BATCHES,
        (
            Edit(
                "        slow: set[str] = set()\n",
                "        if not untried:\n            return\n        slow: set[str] = set()\n",
            ),
        ),
        Assertions(("tests/chassis/test_batches.py",)),
    ),
    Mutant(
        "nobody waits",
        "messages of a key wait behind one that was set aside",
        BATCHES,
        (Edit("not in claim.blocked or self._handlers.overtakes(arrival)", "not in ()"),),
        Assertions(
            (
                "tests/chassis/test_poison.py::test_a_handler_that_raises_costs_only_its_own_key_and_order_holds_when_it_is_mended",
            )
        ),
    ),
    Mutant(
        "outage is a fault",
        "an outage sets no message aside",
        BATCHES,
        (
            Edit(
                "                raise\n            return await self._keep(",
                "                pass\n            return await self._keep(",
            ),
        ),
        Assertions(("tests/chassis/test_outages.py",)),
    ),
    Mutant(
        "trial inside",
        "a trial is counted for good before it is made, so that a message that kills is found",
        BATCHES,
        (
            Edit(
                """            if count:
                await self._count_trial(arrival)
            async with self._database.transaction() as conn:
""",
                """            async with self._database.transaction() as conn:
                await inbox.count_trial(conn, self.lane, arrival.topic, arrival.partition, arrival.offset)
""",
            ),
        ),
        Assertions(
            ("tests/chassis/test_trials.py::test_a_message_that_kills_the_process_at_each_start_is_set_aside_at_last",)
        ),
    ),
    Mutant(
        "letter gone first",
        "a dead letter goes in the transaction that handles it",
        DEAD_LETTERS,
        (
            Edit(
                """                return
            arrival = replace(letter.open(conn), came_at=letter.set_aside_at)
""",
                """                return
        async with self._database.transaction() as conn:
            arrival = replace(letter.open(conn), came_at=letter.set_aside_at)
""",
            ),
        ),
        Assertions((LETTER_TESTS + "test_an_outage_is_raised_and_not_counted",)),
    ),
    Mutant(
        "any letter",
        "of the dead letters of a key the first is tried, and no other",
        DEAD_LETTERS,
        (Edit("and (head.key_digest is null or", "and (true or head.key_digest is null or"),),
        Assertions(
            (
                "tests/chassis/test_dead_letter_queues.py::test_a_queue_that_is_longer_than_what_is_put_off_at_once_waits_too",
            )
        ),
    ),
    Mutant(
        "letter open",
        "a dead letter that is being tried is nobody else's",
        DEAD_LETTERS,
        (Edit("and (head.claimed_until is null or", "and (true or head.claimed_until is null or"),),
        Assertions(
            (
                "tests/chassis/test_dead_letter_queues.py::test_what_one_has_claimed_is_claimed_by_nobody_else_while_the_claim_lasts",
            )
        ),
    ),
    Mutant(
        "retry not counted",
        "a retry is counted for good before it is made",
        DEAD_LETTERS,
        (Edit("set attempts = d.attempts + 1,", "set attempts = d.attempts,"),),
        Assertions((LETTER_TESTS + "test_a_retry_is_counted_before_it_is_tried_and_one_that_always_kills_is_parked",)),
    ),
)
