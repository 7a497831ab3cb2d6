"""Messages: none loads without saying how private each field is; the declared ones fit their topics."""

import json
import types
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, ValidationError

from chassis.janitor import INBOX_DAYS
from contracts import topics
from contracts.auth import OtpRequested, Purpose
from contracts.catalogue import messages
from contracts.message import TYPE, Headers, Id, Message, UndeclaredPrivacy, time_header
from contracts.notifications import GivenUp, MailGivenUp
from contracts.privacy import Notifications, NotOpened, NotSealed, Privacy, Sealed
from contracts.topics import ACCOUNTS, CODES, Topic

JWE = "eyJh.bGci.aXY.Y2lwaGVy.dGFn"
WEEK = timedelta(days=7)


class Inner(BaseModel):
    name: Annotated[str, Privacy.OPEN]


WRONG_FIELDS: dict[str, tuple[Any, str]] = {
    "without a class": (str, "exactly one privacy class is needed, found 0"),
    "with two classes": (Annotated[str, Privacy.OPEN, Privacy.ID], "exactly one privacy class is needed, found 2"),
    "personal in the clear": (Annotated[str, Privacy.PERSONAL], "must be Sealed"),
    "secret in the clear": (Annotated[str, Privacy.SECRET], "must be Sealed"),
    "personal and perhaps sealed": (Annotated[Sealed[Notifications] | str, Privacy.PERSONAL], "must be Sealed"),
    "sealed and open": (Annotated[Sealed[Notifications], Privacy.OPEN], "of class `personal` or `secret`"),
    "sealed and an id": (Annotated[Sealed[Notifications], Privacy.ID], "of class `personal` or `secret`"),
    "a model": (Annotated[Inner, Privacy.OPEN], "a nested model hides"),
    "perhaps a model": (Annotated[Inner | None, Privacy.OPEN], "a nested model hides"),
    "a list of models": (Annotated[list[Inner], Privacy.OPEN], "a nested model hides"),
    "models by name": (Annotated[dict[str, list[Inner]], Privacy.OPEN], "a nested model hides"),
    "sealed texts in a list": (Annotated[list[Sealed[Notifications]], Privacy.OPEN], "inside another type is never"),
    "perhaps sealed and open": (Annotated[Sealed[Notifications] | None, Privacy.OPEN], "of class `personal` or"),
}


def make(field: Any, **options: Any) -> type[Message]:
    """Load a message with one field more than its key."""

    def body(namespace: dict[str, Any]) -> None:
        namespace["__annotations__"] = {"thing_id": Id, "extra": field}
        namespace["__module__"] = __name__

    kwargs = {"topic": ACCOUNTS, "key": "thing_id", **options}
    return types.new_class("ThingChanged", (Message,), kwargs, body)


@pytest.mark.parametrize("wrong", WRONG_FIELDS)
def test_a_field_whose_privacy_is_missing_or_contradicted_does_not_load(wrong: str) -> None:
    annotation, says = WRONG_FIELDS[wrong]
    with pytest.raises(UndeclaredPrivacy) as refused:
        make(annotation)
    assert str(refused.value).startswith("ThingChanged.extra: ")
    assert says in str(refused.value)


@pytest.mark.parametrize("key", ["extra", "nothing"])
def test_the_key_must_be_an_id(key: str) -> None:
    with pytest.raises(UndeclaredPrivacy, match=f"ThingChanged: the key '{key}' must be a field of class `id`"):
        make(Annotated[int, Privacy.OPEN], key=key)


def test_a_message_that_names_no_topic_does_not_load() -> None:
    with pytest.raises(TypeError, match="topic"):
        types.new_class("Thing", (Message,), {"key": "thing_id"})


def test_topic_type_and_key_follow_from_the_declaration() -> None:
    thing = make(Annotated[int, Privacy.OPEN], major=3)
    thing_id = uuid4()
    assert (thing.topic, thing.type, thing.overtakes) == (ACCOUNTS, "auth.ThingChanged.v3", False)
    assert thing.model_validate({"thing_id": thing_id, "extra": 1}).key == str(thing_id)
    assert thing.readers == {}
    assert not thing.holds_secrets


def test_the_next_version_stands_beside_the_first_under_a_name_of_its_own() -> None:
    class ThingChangedV2(Message, topic=ACCOUNTS, key="thing_id", major=2):
        thing_id: Id

    assert ThingChangedV2.type == "auth.ThingChanged.v2"


def test_sealed_fields_name_their_reader_and_whether_they_are_secret() -> None:
    personal = make(Annotated[Sealed[Notifications], Privacy.PERSONAL])
    secret = make(Annotated[Sealed[Notifications], Privacy.SECRET], topic=CODES)
    assert personal.readers == secret.readers == {"extra": "notifications"}
    assert (personal.holds_secrets, secret.holds_secrets) == (False, True)


def test_a_sealed_field_that_may_be_none_is_sealed_where_it_is_given() -> None:
    perhaps = make(Annotated[Sealed[Notifications] | None, Privacy.PERSONAL])
    assert perhaps.readers == {"extra": "notifications"}
    thing_id = uuid4()
    none, some = (perhaps.model_validate({"thing_id": thing_id, "extra": extra}) for extra in (None, Sealed[Any]("x")))
    assert (none.seals(), list(some.seals())) == ({}, ["extra"])
    assert none.model_dump(mode="json")["extra"] is None
    with pytest.raises(Exception, match="has not been sealed"):
        some.model_dump_json()


def test_a_reader_ignores_fields_it_does_not_know_and_refuses_missing_ones() -> None:
    fields = {"mail_id": str(uuid4()), "account_id": str(uuid4()), "about": str(uuid4()), "kind": "login_code"}
    fields |= {"reason": "expired", "given_up_at": "2026-11-23T08:00:00Z"}
    read = MailGivenUp.model_validate_json(json.dumps(fields | {"added_later": {"any": "thing"}}))
    assert read.reason is GivenUp.EXPIRED
    assert "added_later" not in read.model_dump()
    with pytest.raises(ValidationError):
        MailGivenUp.model_validate_json(json.dumps(fields | {"given_up_at": "2026-11-23T08:00:00"}))
    with pytest.raises(ValidationError):
        MailGivenUp.model_validate({name: value for name, value in fields.items() if name != "kind"})


def otp(code: Sealed[Any]) -> OtpRequested:
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    return OtpRequested(
        challenge_id=UUID(int=1), account_id=UUID(int=2), account_epoch=1, account_version=1, purpose=Purpose.LOGIN,
        reference="AB12", code=code, issued_at=moment, expires_at=moment + timedelta(minutes=10),
    )  # fmt: skip


@pytest.mark.parametrize("sealed", [Sealed[Any]("canary"), Sealed[Any].from_token("canary", "canary")])
def test_a_sealed_text_shows_neither_its_clear_text_nor_its_token(sealed: Sealed[Any]) -> None:
    message = otp(sealed)
    shown = [repr(sealed), str(sealed), f"{sealed}", repr(message), str(message), repr(message.seals())]
    assert not [text for text in shown if "canary" in text]
    assert "Sealed(…)" in repr(message)


def test_a_text_that_was_not_sealed_is_never_serialised() -> None:
    message = otp(Sealed("canary"))
    for serialise in (message.model_dump_json, message.model_dump):
        with pytest.raises(Exception, match="has not been sealed") as refused:
            serialise()
        assert "canary" not in str(refused.value)
    with pytest.raises(NotSealed):
        _ = message.code.token


def test_a_sealed_text_travels_as_its_token_and_stays_shut_until_it_is_opened() -> None:
    sealed: Sealed[Any] = Sealed.from_token(JWE, "canary")
    assert json.loads(otp(sealed).model_dump_json())["code"] == JWE
    read = OtpRequested.model_validate_json(otp(sealed).model_dump_json())
    assert read.code.token == JWE
    with pytest.raises(NotOpened):
        _ = read.code.clear


@pytest.mark.parametrize("value", ["123456", "a.b.c.d", "a.b.c.d.e.f", "", None, 123456, ["a.b.c.d.e"]])
def test_what_is_no_jwe_is_refused_where_a_sealed_text_belongs(value: object) -> None:
    fields = json.loads(otp(Sealed.from_token(JWE)).model_dump_json())
    with pytest.raises(ValidationError) as refused:
        OtpRequested.model_validate(fields | {"code": value})
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("code",)
    assert "a compact JWE of five parts is expected" in fault["msg"]


MESSAGES = messages()


def test_there_are_messages_to_look_at_and_no_two_share_a_type() -> None:
    assert len(MESSAGES) >= 5
    assert len({message.type for message in MESSAGES}) == len(MESSAGES)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_declared_message_stands_on_a_declared_topic_of_the_service_that_says_it(message: type[Message]) -> None:
    match = TYPE.fullmatch(message.type)
    assert match is not None
    assert message.topic in topics.ALL
    assert match["service"] == message.topic.name.partition(".")[0] == message.__module__.rpartition(".")[2]


@pytest.mark.goal("sec-P5")
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_message_with_a_secret_stands_only_on_a_topic_that_keeps_an_hour(message: type[Message]) -> None:
    assert not message.holds_secrets or message.topic.holds_secrets


@pytest.mark.goal("sec-P5")
@pytest.mark.parametrize("topic", topics.ALL, ids=lambda topic: topic.name)
def test_a_topic_keeps_at_most_a_week_and_with_secrets_an_hour(topic: Topic) -> None:
    config = topic.config()
    assert config["cleanup.policy"] == "delete"
    assert timedelta(0) < timedelta(milliseconds=int(config["retention.ms"])) == topic.retention <= WEEK
    assert timedelta(0) < timedelta(milliseconds=int(config["segment.ms"])) == topic.segment <= topic.retention / 4
    if topic.holds_secrets:
        assert topic.retention <= timedelta(hours=1)


def test_a_topic_says_whose_it_is_and_whether_others_ask_there() -> None:
    assert (CODES.owner, CODES.takes_requests) == ("auth", False)
    assert (Topic("cases.requests.v1").owner, Topic("cases.requests.v1").takes_requests) == ("cases", True)


@pytest.mark.goal("rel-R9")
@pytest.mark.parametrize("topic", topics.ALL, ids=lambda topic: topic.name)
def test_the_inbox_remembers_a_week_longer_than_the_topic_keeps(topic: Topic) -> None:
    assert timedelta(days=INBOX_DAYS) >= topic.retention + WEEK


def test_topic_names_are_unique_and_say_service_aggregate_and_version() -> None:
    assert len(topics.BY_NAME) == len(topics.ALL) > 0
    assert all(name.count(".") == 2 and name.rpartition(".")[2] == "v1" for name in topics.BY_NAME)


def test_headers_are_what_an_independent_reader_of_cloudevents_reads() -> None:
    from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
    from cloudevents.core.formats.json import JSONFormat

    message, moment = otp(Sealed.from_token(JWE)), datetime(2026, 11, 23, 8, tzinfo=UTC)
    headers = Headers(uuid4(), "auth", message.type, message.key, causationid="cause").as_dict()
    headers["ce_time"] = time_header(moment)
    raw = KafkaMessage(
        headers={name: value.encode() for name, value in headers.items()},
        key=message.key.encode(),
        value=message.model_dump_json().encode(),
    )
    event = from_kafka_event(raw, JSONFormat())
    assert (event.get_type(), event.get_subject(), event.get_time()) == (message.type, message.key, moment)
    assert event.get_source() == "/services/auth"
    assert event.get_extension("causationid") == "cause"
