"""Arrival: whatever lies in Kafka is read without an error, kept byte for byte, and known again."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from chassis.arrival import Arrival, Broken, read_envelope
from contracts.message import Envelope
from tests.support.lanes import headers

KIND = "auth.ThingHappened.v1"
Headers = list[tuple[str, bytes]]


def record(value: bytes | None, *, key: bytes | None = b"k", given: Headers | None = None, topic: str = "t") -> Arrival:
    return Arrival.of(ConsumerRecord(topic, 2, 7, 0, 0, key, value, None, 0, 0, given or []), prefix="site.")


names = st.one_of(st.text(max_size=12), st.sampled_from([name for name, _ in headers(KIND)]))
contents = st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode), st.none())
anything = st.builds(
    ConsumerRecord,
    topic=st.text(max_size=20),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.just(0),
    timestamp_type=st.just(0),
    key=st.one_of(st.none(), st.binary(max_size=40)),
    value=st.one_of(st.none(), st.binary(max_size=80)),
    checksum=st.none(),
    serialized_key_size=st.just(0),
    serialized_value_size=st.just(0),
    headers=st.lists(st.tuples(names, contents), max_size=12),
)


@given(anything)
def test_no_record_whatever_makes_the_reading_raise(given: ConsumerRecord) -> None:
    arrival = Arrival.of(given)
    assert (arrival.envelope is None) is (arrival.fault is not None)
    assert (arrival.key, arrival.value, arrival.offset) == (given.key, given.value, given.offset)


@given(anything)
def test_a_record_that_is_packed_and_unpacked_is_the_same_to_the_byte(given: ConsumerRecord) -> None:
    arrival = Arrival.of(given)
    assert Arrival.unpack(arrival.pack()) == arrival


@given(st.sampled_from([name for name, _ in headers(KIND)]), st.one_of(st.binary(), st.text().map(str.encode)))
def test_no_value_of_a_right_header_makes_the_reading_raise_or_is_quoted(name: str, value: bytes) -> None:
    changes: dict[str, Any] = {name: value}
    arrival = record(b"{}", given=headers(KIND, changes))
    if arrival.fault is not None:
        assert arrival.fault.startswith(("ce_specversion ", f"{name}: ", f"{name} "))
        assert len(value) < 12 or value.decode(errors="replace") not in arrival.fault


@given(st.text().filter(lambda text: not text.isascii() or not text.isprintable()))
def test_an_id_that_a_database_or_a_log_line_might_choke_on_is_refused(text: str) -> None:
    assert record(b"{}", given=headers(KIND, {"ce_id": text.encode()})).fault is not None


def test_a_right_event_has_the_identity_its_writer_gave_it() -> None:
    arrival = record(b"{}", given=headers(KIND, event_id="e-1"))
    assert arrival.fault is None
    assert isinstance(arrival.envelope, Envelope)
    assert arrival.identity == ("/services/things", "e-1")
    assert record(b"other", key=b"other", given=headers(KIND, event_id="e-1")).identity == arrival.identity


def test_the_same_id_from_another_source_is_another_message() -> None:
    one = record(b"{}", given=headers(KIND, event_id="e-1"))
    other = record(b"{}", given=headers(KIND, {"ce_source": b"/services/others"}, event_id="e-1"))
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"ce_specversion": None}, "ce_specversion is missing"),
        ({"ce_specversion": b"0.3"}, "ce_specversion is not 1.0"),
        ({"ce_id": None}, "ce_id: Field required"),
        ({"ce_id": b""}, "ce_id: Value error, 1 to 200 printable ASCII characters are expected"),
        ({"ce_id": b"x" * 201}, "ce_id: Value error, 1 to 200 printable ASCII characters are expected"),
        ({"ce_type": b"a\nb"}, "ce_type: Value error, 1 to 200 printable ASCII characters are expected"),
        ({"ce_subject": b"a\x00"}, "ce_subject: Value error, 1 to 200 printable ASCII characters are expected"),
        ({"ce_source": b"\xff"}, "ce_source is not UTF-8"),
        ({"ce_time": None}, "ce_time: Field required"),
        ({"ce_time": b"2026-01-01T00:00:00"}, "ce_time: Input should have timezone info"),
        ({"ce_sequence": b""}, "ce_sequence: Value error, 1 to 200 printable ASCII characters are expected"),
    ],
)
def test_a_broken_record_says_which_header_is_at_fault_and_is_known_by_where_it_lies(
    changes: dict[str, Any], fault: str
) -> None:
    arrival = record(b"canary", given=headers(KIND, changes), topic="site.auth.accounts.v1")
    assert arrival.envelope is None
    assert arrival.fault == fault
    assert arrival.identity == ("kafka:auth.accounts.v1", "2:7")


def test_a_header_that_comes_twice_counts_as_its_last_and_both_are_kept() -> None:
    twice = [*headers(KIND, event_id="first"), ("ce_id", b"second")]
    arrival = record(b"{}", given=twice)
    assert arrival.identity == ("/services/things", "second")
    assert Arrival.unpack(arrival.pack()).headers == tuple(twice)


def test_headers_of_others_may_hold_any_bytes() -> None:
    envelope = read_envelope([*headers(KIND), ("x-foreign", b"\xff\x00"), ("ce_unknown", b"\xff")])
    assert envelope.type == KIND
    with pytest.raises(Broken):
        read_envelope([])


def test_a_key_is_stored_as_its_digest_and_none_stays_none() -> None:
    assert record(b"", key=None).key_digest is None
    assert record(b"", key=b"").key_digest is not None
    digest = record(b"", key=b"canary").key_digest
    assert digest is not None and len(digest) == 32 and b"canary" not in digest
    assert digest == record(b"other", key=b"canary").key_digest != record(b"", key=b"canary2").key_digest


def test_the_installations_prefix_is_no_part_of_the_topic() -> None:
    assert record(b"", topic="site.auth.accounts.v1").topic == "auth.accounts.v1"
    assert record(b"", topic="auth.accounts.v1").topic == "auth.accounts.v1"
