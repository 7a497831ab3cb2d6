"""What brings everybody to one truth after a database went back."""

from tests.mutants.mutant import Assertions, Edit, Mutant

RESTORE = "tests/flows/test_restore.py::"
POSITIONS = "tests/chassis/test_positions.py::"

MUTANTS = (
    Mutant(
        "old epoch",
        "a restored owner's truth is newer than what it told in the lost time",
        "services/auth/people/store.py",
        (Edit("current_epoch(), version from accounts\nwhere id > $1", "1, version from accounts\nwhere id > $1"),),
        Assertions((RESTORE + "test_copies_of_accounts_equal_those_of_their_owner",)),
    ),
    Mutant(
        "sequence again",
        "a sequence number is never given to two messages",
        "chassis/commands/restores.py",
        (Edit("sequence = await restores.raise_sequence(read.owner_database_url, of.name)", "sequence = 0"),),
        Assertions(
            (RESTORE + "test_what_is_published_after_the_restore_has_higher_sequence_numbers_than_anything_before",)
        ),
    ),
    Mutant(
        "known ghosts",
        "what the database does not know is a ghost",
        "chassis/ghosts.py",
        (Edit("                if id_of(arrival) not in known:\n", "                if id_of(arrival) in known:\n"),),
        Assertions((RESTORE + "test_the_ghosts_are_named_and_nothing_else_is",)),
    ),
    Mutant(
        "erased come back",
        "an erased person is not brought back by anything older",
        "services/notifications/consumers.py",
        (Edit("    await contacts.forget(conn, erased)\n", ""),),
        Assertions(
            (
                "tests/notifications/test_restore.py::test_an_erased_person_is_forgotten_and_nothing_older_brings_them_back",
            )
        ),
    ),
    Mutant(
        "sessions come back",
        "no session and no code from before a restore opens a door",
        "services/auth/sessions/store.py",
        (
            Edit(
                "where ended_at is null and ends_at > now() returning account_id\n",
                "where ended_at is null and false returning account_id\n",
            ),
        ),
        Assertions(("tests/auth/test_restore.py::test_open_codes_and_sessions_end_and_what_was_over_is_not_counted",)),
    ),
    Mutant(
        "nobody looks back",
        "a consumer to which nothing new comes notices it too",
        "chassis/service.py",
        (Edit("        *looks,\n", ""),),
        Assertions(
            ("tests/chassis/test_subscribers.py::test_a_worker_looks_at_each_lane_whether_its_database_went_back",)
        ),
    ),
    Mutant(
        "went back unseen",
        "a consumer notices that the database went back under it",
        "chassis/inbox.py",
        (
            Edit(
                "where coalesce(positions.before, 0) < seen.offs", "where coalesce(positions.before, 0) < 0 * seen.offs"
            ),
        ),
        Assertions((POSITIONS + "test_a_consumer_that_runs_through_a_restore_takes_again_what_was_forgotten",)),
    ),
)
