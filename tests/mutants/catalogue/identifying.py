"""What keeps an answer of a provider from logging anybody in but whoever asked for it, and a code from linking another."""

from tests.mutants.mutant import Assertions, Edit, Mutant

ID_TOKENS = "services/auth/identity_providers/id_tokens.py"
LOG_INS = "tests/auth/identity_providers/test_log_ins.py::"
LINKS = "tests/auth/identity_links/test_links.py::"

MUTANTS = (
    Mutant(
        "another log-in's token",
        "an ID token answers the log-in that it was asked for in",
        ID_TOKENS,
        (Edit('        "nonce": claims.nonce == expected.nonce,\n', ""),),
        Assertions((LOG_INS + "test_a_single_fault_of_the_provider_gives_no_session_and_one_line[other-nonce]",)),
    ),
    Mutant(
        "another browser's log-in",
        "a log-in goes on in the browser that began it",
        "services/auth/identity_providers/store.py",
        (Edit("state_digest = $1 and browser_digest = $2 and", "state_digest = $1 and $2::bytea is not null and"),),
        Assertions((LOG_INS + "test_a_way_back_is_good_in_the_browser_that_began_alone",)),
    ),
    Mutant(
        "less sure than asked",
        "a session is as sure as was asked, or there is none",
        ID_TOKENS,
        (Edit("    if not assurance.reaches(wanted):\n", "    if False:\n"),),
        Assertions((LOG_INS + "test_an_answer_that_is_less_sure_than_asked_is_none[low-False]",)),
    ),
    Mutant(
        "another identity linked",
        "a code links the identity that it was asked for with",
        "services/auth/codes/store.py",
        (Edit("c.proof_id = $3 and c.code_digest", "$3::uuid is not null and c.code_digest"),),
        Assertions((LINKS + "test_the_proof_of_one_identity_never_links_another",)),
    ),
)
