"""What keeps a request that nobody has signed from doing anything, and a signed one from doing it twice."""

from tests.mutants.mutant import Assertions, Edit, Mutant

REQUESTS, SIGNING, ARRIVAL = "chassis/requests.py", "chassis/signing.py", "chassis/arrival.py"
TESTS = "tests/chassis/"
FORGED = Assertions(
    (
        TESTS + "test_forgeries.py::"
        "test_a_forged_request_has_no_effect_and_takes_nothing_from_the_authentic_one_of_its_id_and_key",
    )
)

MUTANTS = (
    Mutant(
        "any statement",
        "a signature is good for the id, type, audience and time that it was made for",
        REQUESTS,
        (
            Edit(
                """stated != statement(envelope.id, envelope.type, audience, stated.facts["time"]) or """,
                "",
            ),
        ),
        FORGED,
    ),
    Mutant(
        "any key's holder",
        "a signature is checked by the key that it names",
        SIGNING,
        (
            Edit(
                "    except BadSignatureError:\n        raise NotProven(Unproven.WRONG_SIGNATURE) from None\n",
                "    except BadSignatureError:\n        proven = header\n",
            ),
        ),
        FORGED,
    ),
    Mutant(
        "requests by their names",
        "the inbox knows a request by its whole record, so that a forged one uses up nobody's id",
        ARRIVAL,
        (Edit("        if self.is_request:\n", "        if self.is_request and self.envelope is None:\n"),),
        FORGED,
    ),
    Mutant(
        "requests set aside",
        "a request that cannot be read is answered, and holds up nobody's key",
        "chassis/handlers.py",
        (
            Edit(
                "        if arrival.topic in self._takers:\n            return True\n        if arrival.envelope is None:\n",
                "        if arrival.envelope is None:\n",
            ),
        ),
        FORGED,
    ),
    Mutant(
        "requests anew",
        "the same request again is answered by what was decided",
        REQUESTS,
        (
            Edit(
                "                if answer is not None:\n                    await self._repeat(",
                "                if answer is None and False:\n                    await self._repeat(",
            ),
        ),
        Assertions((TESTS + "test_requests.py::test_the_same_request_again_has_no_effect_and_gets_the_same_answer",)),
    ),
    Mutant(
        "requests of any day",
        "a request is good for a day",
        REQUESTS,
        (
            Edit(
                "now() - interval '20 days') - interval '1 day'",
                "now() - interval '20 days') - interval '9 days'",
            ),
        ),
        Assertions(
            (
                TESTS + "test_refused_requests.py::"
                "test_a_request_is_good_for_a_day_and_for_a_clock_that_is_a_little_ahead",
            )
        ),
    ),
    Mutant(
        "any content",
        "a file is what its system signed",
        "chassis/inbound.py",
        (Edit("if length != upload.length or digest.hexdigest() != upload.sha256:", "if length != upload.length:"),),
        Assertions((TESTS + "test_inbound.py::test_content_that_is_not_what_was_signed_becomes_no_file",)),
    ),
)
