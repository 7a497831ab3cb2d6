"""What keeps an organisation's people its own, and rights with those who may give them."""

from tests.mutants.mutant import Assertions, Edit, Mutant

GRANTS = "services/auth/rights/grants.py"
GRANTING = "tests/auth/rights/test_grants.py::"
USERS = "tests/auth/users/test_users_api.py::"

MUTANTS = (
    Mutant(
        "late edit",
        "an edit is made only of what its editor has seen",
        "services/auth/users/users.py",
        (Edit("if tag not in {ANY_STATE, user.tag}:", "if tag not in {ANY_STATE, tag}:"),),
        Assertions((USERS + "test_of_two_superusers_who_edit_at_once_the_second_is_told_what_changed",)),
    ),
    Mutant(
        "rights of another's people",
        "a superuser gives rights to those at home in the own organisation alone",
        GRANTS,
        (
            Edit(
                "(giver.grantor in AT_HOME and home != organisation_id)", "(giver.grantor in AT_HOME and home is None)"
            ),
        ),
        Assertions((GRANTING + "test_a_superuser_gives_rights_to_the_own_people_alone",)),
    ),
    Mutant(
        "support that edits",
        "support changes nothing, whatever else they hold",
        GRANTS,
        (Edit("if account_id is not None and await store.holds", "if account_id is None and await store.holds"),),
        Assertions((GRANTING + "test_support_changes_nothing_whatever_else_they_hold_and_wherever",)),
    ),
    Mutant(
        "tokens of a right that is gone",
        "a right that is taken away makes all tokens void that say otherwise",
        GRANTS,
        (Edit("    await security.void_tokens(conn, account_id)\n    return", "    return"),),
        Assertions((GRANTING + "test_a_right_that_is_taken_away_makes_all_tokens_void_and_one_that_is_given_none",)),
    ),
)
