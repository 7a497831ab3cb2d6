"""Sealing: only its reader opens a text, only where it was put, and nothing that is refused shows what was in it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from chassis.errors import Misconfigured
from chassis.sealing import CannotOpen, Keyring, NoKeyFor, Place, new_key
from contracts.privacy import Sealed
from deploy.local import keysets

CLEAR = "canary 271828 æøå"
PLACE = Place("0196f1f0-0000-7000-8000-000000000001", "auth.OtpRequested.v1", "code")
KEY = new_key("reader-1")
KEYS = KeySet([KEY])
RING = Keyring("reader", {"reader": KEYS}, KEYS)
TOKEN = RING.seal(CLEAR, "reader", PLACE)


def header(**changes: Any) -> dict[str, Any]:
    """Make the header that `seal` makes, with some of it changed."""
    right = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": "reader-1"}
    place = {"samband_message": PLACE.message_id, "samband_type": PLACE.type, "samband_field": PLACE.field}
    return {**right, **place, **changes}


def forged(key: Any, wanted: dict[str, Any], clear: str | bytes = CLEAR) -> str:
    """Seal with everything that the library can do, as somebody who holds the public key could."""
    algorithms = [wanted[name] for name in ("alg", "enc", "zip") if name in wanted]
    registry = jwe.JWERegistry(algorithms=algorithms, strict_check_header=False)
    return jwe.encrypt_compact(wanted, clear, key, registry=registry)


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def refusal(token: str, place: Place = PLACE, ring: Keyring = RING) -> str:
    """Give what is said of a token that does not open; anything but `CannotOpen` fails the test."""
    with pytest.raises(CannotOpen) as refused:
        ring.open(token, place)
    assert refused.value.__context__ is None or refused.value.__suppress_context__
    return str(refused.value)


def test_what_is_sealed_opens_for_its_reader_in_its_place() -> None:
    assert RING.open(TOKEN, PLACE) == CLEAR
    assert "canary" not in TOKEN
    assert encoded(CLEAR.encode()) not in TOKEN
    assert RING.seal(CLEAR, "reader", PLACE) != TOKEN


def test_a_sealed_field_is_opened_beside_its_token() -> None:
    opened: Sealed[Any] = RING.opened(Sealed.from_token(TOKEN), PLACE)
    assert (opened.clear, opened.token) == (CLEAR, TOKEN)


@pytest.mark.parametrize("size", [0, 1, 100_000, 1_400_000])
def test_a_text_of_any_size_that_a_record_may_have_opens_again(size: int) -> None:
    """A record is set aside as one text: one that sealed but never opened again would be lost."""
    assert RING.open(RING.seal("x" * size, "reader", PLACE), PLACE) == "x" * size


@pytest.mark.goal("sec-P2")
@pytest.mark.parametrize(
    "elsewhere",
    [
        Place("0196f1f0-0000-7000-8000-000000000002", PLACE.type, PLACE.field),
        Place(PLACE.message_id, "auth.OtpRequested.v2", PLACE.field),
        Place(PLACE.message_id, PLACE.type, "address"),
        Place(PLACE.type, PLACE.message_id, PLACE.field),
    ],
)
def test_a_sealed_text_that_was_moved_does_not_open(elsewhere: Place) -> None:
    assert refusal(TOKEN, elsewhere) == f"{elsewhere.type}.{elsewhere.field} was sealed for another place"


@pytest.mark.goal("sec-P2")
@pytest.mark.parametrize("segment", range(5))
def test_a_byte_flipped_anywhere_keeps_it_shut(segment: int) -> None:
    parts = TOKEN.split(".")
    whole = base64.urlsafe_b64decode(parts[segment] + "==")
    for position in range(max(1, len(whole))):
        changed = bytearray(whole or b"\0")
        changed[position] ^= 1
        tampered = ".".join([*parts[:segment], encoded(bytes(changed)), *parts[segment + 1 :]])
        assert "canary" not in refusal(tampered)


@pytest.mark.goal("sec-P2")
@pytest.mark.parametrize(
    ("key", "changes"),
    [
        (OctKey.import_key(b"k" * 32), {"alg": "dir"}),
        (RSAKey.generate_key(2048), {"alg": "RSA-OAEP"}),
        (KEY, {"alg": "ECDH-ES+A256KW"}),
        (KEY, {"enc": "A128GCM"}),
        (KEY, {"enc": "A128CBC-HS256"}),
        (KEY, {"zip": "DEF"}),
        (KEY, {"kid": "reader-2"}),
        (new_key("reader-1"), {}),
        (KEY, {"foreign": "header"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else type(value).__name__,
)
def test_another_key_algorithm_or_compression_is_refused(key: Any, changes: dict[str, Any]) -> None:
    assert "canary" not in refusal(forged(key, header(**changes)))


@pytest.mark.parametrize("missing", ["samband_message", "samband_type", "samband_field"])
def test_a_text_that_does_not_say_where_it_belongs_does_not_open(missing: str) -> None:
    wanted = header()
    del wanted[missing]
    assert "canary" not in refusal(forged(KEY, wanted))


def test_bytes_that_are_no_text_do_not_open() -> None:
    refusal(forged(KEY, header(), b"\xff\xfe"))


@pytest.mark.parametrize(
    "protected",
    [
        ["alg", "enc"],
        "alg enc",
        7,
        None,
        {"alg": ["ECDH-ES"], "enc": "A256GCM"},
        {"alg": "ECDH-ES", "enc": {}},
        header(kid=7),
        header(epk=None),
        header(epk="x"),
        header(epk={"kty": "EC", "crv": "P-256"}),
        header(epk={"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
        header(epk=ECKey.generate_key("P-384").as_dict(private=False)),
        header(epk=RSAKey.generate_key(2048).as_dict(private=False)),
        header(epk=KEY.as_dict(private=False), apu=7),
        header(epk=KEY.as_dict(private=False), apu="\x00"),
        header(epk=KEY.as_dict(private=False), zip=[]),
    ],
    ids=[f"shape-{n}" for n in range(16)],
)
def test_a_header_of_another_shape_is_refused_and_breaks_nothing(protected: object) -> None:
    rest = TOKEN.partition(".")[2]
    refusal(f"{encoded(json.dumps(protected).encode())}.{rest}")


def test_what_is_no_token_is_refused() -> None:
    for token in ("", ".", "....", "a.b.c.d.e", CLEAR, "\ud800", TOKEN + ".x", TOKEN[:-1], "[" * 20_000):
        assert "canary" not in refusal(token)


@given(st.one_of(st.text(), st.lists(st.text(), min_size=5, max_size=5).map(".".join)))
def test_no_text_whatever_breaks_the_opening(token: str) -> None:
    refusal(token)


@given(st.dictionaries(st.sampled_from(["alg", "enc", "kid", "epk", "zip", "crit", "x"]), st.text() | st.none()))
def test_no_header_whatever_breaks_the_opening(changes: dict[str, str | None]) -> None:
    protected = json.dumps(header(**changes)).encode()
    refusal(f"{encoded(protected)}.{TOKEN.partition('.')[2]}")


def test_a_key_that_was_replaced_still_opens_what_was_sealed_to_it() -> None:
    newer = new_key("reader-2")
    ring = Keyring("reader", {"reader": KeySet([newer, KEY])}, KeySet([newer, KEY]))
    assert ring.open(TOKEN, PLACE) == CLEAR
    assert ring.open(ring.seal(CLEAR, "reader", PLACE), PLACE) == CLEAR
    refusal(ring.seal(CLEAR, "reader", PLACE))


def test_a_service_without_private_keys_opens_nothing() -> None:
    assert refusal(TOKEN, ring=Keyring("writer", {"reader": KEYS}, None)) == "writer has no private key"


def test_a_reader_without_a_mounted_key_is_named_with_the_field() -> None:
    with pytest.raises(NoKeyFor) as missing:
        RING.seal(CLEAR, "members", PLACE)
    assert str(missing.value) == "reader has no public key of members to seal auth.OtpRequested.v1.code"


def test_mounted_key_sets_seal_to_every_reader_and_open_the_own(tmp_path: Path) -> None:
    keysets.make(tmp_path, ["auth", "notifications"])
    auth = Keyring.load("auth", tmp_path / "public", None)
    token = auth.seal(CLEAR, "notifications", PLACE)
    reader = Keyring.load("notifications", tmp_path / "public", tmp_path / "private" / "notifications.json")
    assert reader.open(token, PLACE) == CLEAR
    refusal(auth.seal(CLEAR, "auth", PLACE), ring=reader)


PRIVATE, PUBLIC = KEY.as_dict(private=True), KEY.as_dict(private=False)
RSA = RSAKey.generate_key(2048, {"kid": "r"})
WRONG_SETS: dict[str, tuple[bytes, bytes]] = {
    "not JSON": (b"{", b"{"),
    "not UTF-8": (b"\xff", b"\xff"),
    "empty": (b"", b""),
    "not a set": (b"[]", b'"keys"'),
    "no keys": (b'{"keys": []}', b'{"keys": []}'),
    "a key that is none": (
        b'{"keys": [{"kty": "EC"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "!", "y": "!"}]}',
    ),
    "the other half": (json.dumps({"keys": [PRIVATE]}).encode(), json.dumps({"keys": [PUBLIC]}).encode()),
    "RSA": (
        json.dumps({"keys": [RSA.as_dict(private=False)]}).encode(),
        json.dumps({"keys": [RSA.as_dict(private=True)]}).encode(),
    ),
    "another curve": tuple(  # type: ignore[dict-item]  # two of them.
        json.dumps({"keys": [ECKey.generate_key("P-384", {"kid": "p"}).as_dict(private=private)]}).encode()
        for private in (False, True)
    ),
    "without kid": tuple(  # type: ignore[dict-item]  # two of them.
        json.dumps({"keys": [{name: value for name, value in key.items() if name != "kid"}]}).encode()
        for key in (PUBLIC, PRIVATE)
    ),
}


@pytest.mark.parametrize("half", ["public", "private"])
@pytest.mark.parametrize("wrong", WRONG_SETS)
def test_a_wrong_key_set_keeps_the_service_from_starting_and_is_named(wrong: str, half: str, tmp_path: Path) -> None:
    keysets.make(tmp_path, ["reader"])
    path = tmp_path / half / "reader.json"
    path.write_bytes(WRONG_SETS[wrong][half == "private"])
    with pytest.raises(Misconfigured) as refused:
        Keyring.load("reader", tmp_path / "public", tmp_path / "private" / "reader.json")
    assert str(path) in str(refused.value)
    assert str(PRIVATE["d"]) not in str(refused.value)


def test_a_key_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    keysets.make(tmp_path, ["reader"])
    for public, private, named in (
        (tmp_path / "none", None, tmp_path / "none"),
        (tmp_path / "public", tmp_path / "none.json", tmp_path / "none.json"),
        (tmp_path / "public", tmp_path / "public", tmp_path / "public"),
    ):
        with pytest.raises(Misconfigured) as refused:
            Keyring.load("reader", public, private)
        assert str(named) in str(refused.value)
