"""Forgeries: what is not proven to come from its system has no effect, and costs the authentic request nothing."""

import base64
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis import requests, signing
from chassis.arrival import Arrival
from chassis.batches import Batches
from chassis.continuity import Continuity
from chassis.handlers import Hung, Lane
from chassis.postgres import Database
from chassis.requests import TOLD_A_MINUTE, Signed
from chassis.signing import Statement
from contracts.requests import Unproven
from tests.support.asking import (
    DESK_KEY,
    KEY,
    THINGS_REQUESTS,
    Asker,
    ForgetThing,
    ThingRequestNotProven,
    answers,
    arrival,
    effects,
    handlers,
    set_aside,
    stated,
    take,
    with_headers,
)
from tests.support.effects import Owner

pytestmark = pytest.mark.usefixtures("effects")


def forge(token: str, **changes: Any) -> str:
    """Change the protected header of a JWS."""
    head, _, signature = token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "==")) | changes
    return f"{base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b'=').decode()}..{signature}"


ANOTHER = str(UUID(int=9))
FORGERIES: dict[str, tuple[Any, Unproven]] = {
    "no header": (lambda _: {"ce_signature": None}, Unproven.NO_SIGNATURE),
    "of another value": (lambda s: stated(s, b"{}"), Unproven.WRONG_SIGNATURE),
    "of another id": (lambda s: stated(s, message=ANOTHER), Unproven.OTHER_REQUEST),
    "of another type": (lambda s: stated(s, type=ForgetThing.type), Unproven.OTHER_REQUEST),
    "of another audience": (lambda s: stated(s, audience="auth"), Unproven.OTHER_REQUEST),
    "of another time": (lambda s: stated(s, time="2026-01-01T00:00:00+00:00"), Unproven.OTHER_REQUEST),
    "of no time": (lambda s: stated(s, time="soon"), Unproven.UNREADABLE_REQUEST),
    "moved to another id": (lambda _: {"ce_id": ANOTHER}, Unproven.OTHER_REQUEST),
    "moved to another type": (lambda _: {"ce_type": ForgetThing.type}, Unproven.OTHER_REQUEST),
    "moved to another subject": (lambda _: {"ce_subject": ANOTHER}, Unproven.OTHER_REQUEST),
    "moved to no subject": (lambda _: {"ce_subject": None}, Unproven.UNREADABLE_REQUEST),
    "moved to another key": (lambda _: {"key": ANOTHER}, Unproven.OTHER_REQUEST),
    "moved to no key": (lambda _: {"key": None}, Unproven.OTHER_REQUEST),
    "moved to another time": (lambda _: {"ce_time": "2026-01-01T00:00:00Z"}, Unproven.OTHER_REQUEST),
    "of a time before all": (
        lambda s: stated(s, time="0001-01-01T00:00:00+14:00") | {"ce_time": "0001-01-01T00:00:00+14:00"},
        Unproven.UNREADABLE_REQUEST,
    ),
    "of another use": (
        lambda s: {"ce_signature": signing.sign(Statement("samband-upload"), s.value, KEY)},
        Unproven.UNREADABLE_REQUEST,
    ),
    "by an unknown key": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], kid="x")}, Unproven.UNKNOWN_KEY),
    "by no key": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], kid=None)}, Unproven.UNKNOWN_KEY),
    "by a stranger's key": (
        lambda s: {
            "ce_signature": signing.sign(requests.statement("", "", "", ""), s.value, signing.new_key("stranger"))
        },
        Unproven.UNKNOWN_KEY,
    ),
    "by a key that has the kid of another": (
        lambda s: {"ce_signature": signing.sign(Statement("x"), s.value, signing.new_key("member-1"))},
        Unproven.WRONG_SIGNATURE,
    ),
    "none": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], alg="none")}, Unproven.UNREADABLE_SIGNATURE),
    "HS256": (lambda s: {"ce_signature": forge(s.headers["ce_signature"], alg="HS256")}, Unproven.UNREADABLE_SIGNATURE),
    "another curve's": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], alg="ES256")},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "critical": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], crit=["exp"])},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "unencoded": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], b64=False)},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "with unknown parameters": (
        lambda s: {"ce_signature": forge(s.headers["ce_signature"], extra=1)},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "no JWS": (lambda _: {"ce_signature": "signed, the director"}, Unproven.UNREADABLE_SIGNATURE),
    "attached": (
        lambda s: {"ce_signature": s.headers["ce_signature"].replace("..", ".e30.")},
        Unproven.UNREADABLE_SIGNATURE,
    ),
    "empty": (lambda _: {"ce_signature": ""}, Unproven.UNREADABLE_SIGNATURE),
    "endless": (lambda _: {"ce_signature": "a" * 100_000 + "..b"}, Unproven.UNREADABLE_SIGNATURE),
    "without a time": (lambda _: {"ce_time": None}, Unproven.UNREADABLE_REQUEST),
    "not a CloudEvent": (lambda _: {"ce_specversion": None}, Unproven.UNREADABLE_REQUEST),
}


def forged(signed: Signed, name: str, *, offset: int = 0) -> Arrival:
    changes: dict[str, str | None] = FORGERIES[name][0](signed)
    raw: dict[str, Any] = {header: None if text is None else text.encode() for header, text in changes.items()}
    key = raw.pop("key", signed.key.encode())
    return replace(arrival(signed, offset=offset, **raw), key=key)


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_request_has_no_effect_and_takes_nothing_from_the_authentic_one_of_its_id_and_key(
    name: str, known: Database, asker: Asker, owner: Owner
) -> None:
    signed = asker.change(3)
    await take(known, forged(signed, name, offset=17))
    assert [type(answer) for answer in await answers(known)] == [ThingRequestNotProven]
    (told,) = await answers(known)
    assert (told.system, told.partition, told.offset, told.reason) == ("member", 0, 17, FORGERIES[name][1])
    assert await effects(known) == []
    assert await owner.fetchval("select count(*) from things.dead_letters") == 0
    assert await owner.fetchval("select count(*) from things.requests") == 0
    await take(known, forged(signed, name, offset=18), arrival(signed, offset=19), forged(signed, name, offset=20))
    proven = [answer for answer in await answers(known) if not isinstance(answer, ThingRequestNotProven)]
    assert [answer.given for answer in proven] == ["no. 3"]
    assert await effects(known) == [3]


async def test_a_flood_of_forgeries_is_told_of_some_times_and_hides_no_authentic_one(
    known: Database, asker: Asker
) -> None:
    flood = [arrival(asker.change(), offset=n, ce_signature=b"x") for n in range(3 * TOLD_A_MINUTE)]
    await take(known, *flood, arrival(asker.change(9), offset=len(flood)))
    *told, last = await answers(known)
    assert [answer.offset for answer in told] == list(range(TOLD_A_MINUTE))
    assert last.given == "no. 9"


async def test_a_batch_that_is_rolled_back_takes_no_room_of_what_is_told(known: Database, asker: Asker) -> None:
    flood = [arrival(asker.change(), offset=n, ce_signature=b"x") for n in range(TOLD_A_MINUTE)]
    found = handlers(broken=[RuntimeError("a bug")])
    with pytest.raises(RuntimeError):
        await take(known, *flood, arrival(asker.change(), offset=len(flood)), found=found)
    await take(known, *flood, found=found)
    assert [answer.offset for answer in await answers(known)] == list(range(TOLD_A_MINUTE))


@pytest.mark.goal("sec-P9")
async def test_what_is_logged_of_a_request_says_where_it_lies_and_nothing_that_its_sender_wrote(
    known: Database, asker: Asker
) -> None:
    signed = with_headers(asker.change(), {"ce_id": "kari@example.no", "ce_subject": "Kari", "ce_signature": "Kari.."})
    strangers = with_headers(signed, {"ce_source": "/systems/kari@example.no"})
    with structlog.testing.capture_logs() as lines:
        await take(known, arrival(signed, offset=5), arrival(strangers, offset=6))
    expected = {"log_level": "warning", "event": "request_not_proven", "topic": THINGS_REQUESTS.name, "partition": 0}
    assert lines == [
        {**expected, "offset": 5, "system": "member", "reason": "unreadable_signature"},
        {**expected, "offset": 6, "system": None, "reason": "unreadable_signature"},
    ]


async def test_two_signatures_are_none(known: Database, asker: Asker) -> None:
    came = arrival(asker.change())
    twice = replace(came, headers=(*came.headers, ("ce_signature", b"x")))
    await take(known, twice)
    assert [answer.reason for answer in await answers(known)] == [Unproven.NO_SIGNATURE]


async def test_an_id_that_is_no_uuid_is_told_of_without_it(known: Database, asker: Asker) -> None:
    signed = asker.change()
    changed = with_headers(signed, {"ce_id": "kari@example.no", **stated(signed, message="kari@example.no")})
    await take(known, arrival(changed))
    (answer,) = await answers(known)
    assert (answer.reason, answer.request_id) == (Unproven.UNREADABLE_REQUEST, None)


@pytest.mark.parametrize("source", ["/systems/nobody", "/services/things", "member", "/systems/", "/systems/../member"])
async def test_nobody_is_answered_when_no_known_system_is_named(source: str, known: Database, asker: Asker) -> None:
    await take(known, arrival(asker.change(), ce_source=source.encode()))
    assert await answers(known) == []
    assert await effects(known) == []


async def test_a_forgery_of_a_key_that_waits_is_told_of_and_never_kept(
    known: Database, asker: Asker, owner: Owner
) -> None:
    signed = asker.change(1)
    await set_aside(known, arrival(signed))
    await take(known, arrival(signed, offset=1, ce_signature=b"x"))
    assert [type(answer) for answer in await answers(known)] == [ThingRequestNotProven]
    assert await owner.fetchval("select count(*) from things.dead_letters") == 1
    await take(known, arrival(signed, offset=2))
    assert await owner.fetchval("select count(*) from things.dead_letters") == 2
    assert await effects(known) == []


async def test_a_forgery_of_a_type_whose_handler_hangs_is_told_of_and_never_kept(
    known: Database, asker: Asker, owner: Owner
) -> None:
    first = arrival(asker.change(1))
    forgery = arrival(asker.change(2), offset=1, ce_signature=b"x")
    found = handlers(broken=[Hung("it hangs", first)])
    batches = Batches(known, found, Lane.NORMAL, reached={}, continuity=Continuity(lambda _: None))
    await batches.handle([first, forgery], set())
    assert [type(answer) for answer in await answers(known)] == [ThingRequestNotProven]
    assert await owner.fetchval('select array_agg("offset") from things.dead_letters') == [0]


@pytest.mark.goal("ops-O8")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    token=st.one_of(st.binary(max_size=200), st.text(alphabet="ab.=_-", max_size=60).map(str.encode)),
    header=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["alg", "kid", "typ", "x"]), inner),
        max_leaves=6,
    ),
    value=st.binary(max_size=50),
)
def test_no_signature_whatever_raises_anything_but_not_proven(token: bytes, header: object, value: bytes) -> None:
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    for text in (token.decode("ascii", "replace"), f"{head}..AAAA"):
        with pytest.raises(signing.NotProven):
            signing.verify(text, value, {"member-1": KEY, "True": DESK_KEY})
