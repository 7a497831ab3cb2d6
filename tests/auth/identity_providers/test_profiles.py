"""Profiles: a provider that nobody here wrote is put in by a file; one that is not right is named, with what is wrong."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from chassis.errors import Misconfigured
from chassis.texts import Language
from chassis.tokens import Assurance
from services.auth.identity_providers import api, profiles
from services.auth.identity_providers.profiles import Profile, Providers, may_be_called
from tests.auth.identity_providers.provider import ISSUER, NAME, PROFILE, write
from tests.auth.world import World

DOCUMENT = Path(__file__).parents[3] / "docs" / "identity-providers.md"


def test_a_provider_is_its_file(tmp_path: Path) -> None:
    (found,) = Providers.load(write(tmp_path))
    assert (found.name, found.issuer) == (NAME, ISSUER)
    assert found.profile.titles.of(Language.NN) == "ID-porten"
    assert found.profile.acr_for(Assurance.LOW) == ("substantial", "high")
    assert found.profile.acr_for(Assurance.HIGH) == ("high",)
    assert found.profile.assurance_of("substantial") is Assurance.SUBSTANTIAL
    assert found.profile.assurance_of("none of these") is None
    assert found.profile.assurance_of(None) is None


def test_without_a_folder_there_is_no_provider() -> None:
    assert not [*Providers.load(None)]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"issuer": ...}, "issuer"),
    ({"issuer": "http://provider.example.no"}, "https"),
    ({"issuer": "https://provider.example.no?a=b"}, "https"),
    ({"issuer": "https://kari@provider.example.no"}, "https"),
    ({"client_id": ""}, "client_id"),
    ({"titles": {"nb": "ID-porten"}}, "titles.nn"),
    ({"scopes": ["profile"]}, "openid"),
    ({"scopes": ["openid profile"]}, "scopes"),
    ({"assurance": {}}, "assurance"),
    ({"assurance": {"high": "highest"}}, "assurance.high"),
    ({"acr_values": ["other"]}, "other"),
    ({"algorithms": ["HS256"]}, "algorithms"),
    ({"algorithms": ["none"]}, "algorithms"),
    ({"algorithms": []}, "algorithms"),
    ({"number_claim": ...}, "number_claim"),
    ({"key": ...}, "needs key"),
    ({"secret": "secret.txt"}, "no secret"),
    ({"authentication": "client_secret_post"}, "needs secret"),
    ({"authentication": "none"}, "authentication"),
    ({"key": "../key.json"}, "without a folder"),
    ({"key": "other.json"}, "cannot be read"),
    ({"key": "secret.txt"}, "no JWK"),
    ({"clock_skew_seconds": 301}, "clock_skew_seconds"),
    ({"unknown": 1}, "unknown"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_file_that_is_not_right_is_named_with_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    write(tmp_path, **changes)
    with pytest.raises(Misconfigured) as caught:
        Providers.load(tmp_path)
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        RSAKey.generate_key(2048, {"kid": "public"}, private=True).as_dict(private=False),
        RSAKey.generate_key(2048, {}, private=True).as_dict(private=True) | {"kid": ""},
        ECKey.generate_key("P-384", {"kid": "other-curve"}, private=True).as_dict(private=True),
        OKPKey.generate_key("X25519", {"kid": "other-use"}, private=True).as_dict(private=True),
        [],
    ],
    ids=["public", "no name", "another curve", "for sealing", "no object"],
)
def test_a_key_that_cannot_sign_is_named(tmp_path: Path, key: object) -> None:
    write(tmp_path)
    (tmp_path / "keys" / "key.json").write_text(json.dumps(key))
    with pytest.raises(Misconfigured, match=r"key\.json"):
        Providers.load(tmp_path)


def test_a_secret_that_is_empty_is_named(tmp_path: Path) -> None:
    write(tmp_path, authentication="client_secret_basic", key=..., secret="secret.txt")
    (tmp_path / "keys" / "secret.txt").write_text(" \n")
    with pytest.raises(Misconfigured, match=r"secret\.txt holds no secret"):
        Providers.load(tmp_path)


def test_a_secret_and_a_key_show_in_no_repr(tmp_path: Path) -> None:
    write(tmp_path, authentication="client_secret_basic", key=..., secret="secret.txt")
    assert "a secret that both know" not in repr([*Providers.load(tmp_path)])


def test_two_providers_of_one_issuer_are_refused(tmp_path: Path) -> None:
    write(write(tmp_path), name="other")
    with pytest.raises(Misconfigured, match="one issuer"):
        Providers.load(tmp_path)


@pytest.mark.parametrize("name", ["Other", "o_ther", "1other"])
def test_a_name_that_no_address_should_hold_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, name=name)
    with pytest.raises(Misconfigured, match="lower-case"):
        Providers.load(tmp_path)


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        Providers.load(tmp_path / "none")
    (tmp_path / "a.json").mkdir()
    with pytest.raises(Misconfigured, match=r"a\.json cannot be read"):
        Providers.load(tmp_path)


@pytest.mark.parametrize("missing", ["identity_keys", "public_url"])
def test_a_provider_needs_keys_and_an_address_of_ours(world: World, tmp_path: Path, missing: str) -> None:
    told = {
        "identity_providers": write(tmp_path),
        "identity_keys": tmp_path / "none.json",
        "public_url": "https://portal.example.no",
    }
    settings = world.settings.model_copy(update={**told, missing: None})
    with pytest.raises(Misconfigured, match=f"SAMBAND_{missing.upper()}"):
        api.desk_of(settings, world.chance)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://idporten.no/token", True),
        ("http://127.0.0.1:8080/token", True),
        ("http://localhost/token", True),
        ("http://[::1]:80/token", True),
        ("http://idporten.no/token", False),
        ("https://kari:secret@idporten.no/token", False),
        ("https://", False),
        ("https:///token", False),
        ("https://idporten.no:x/token", False),
        ("https://[idporten.no/token", False),
        ("https://idporten.no/to ken", False),
        ("https://idporten.no/å", False),
        ("file:///etc/passwd", False),
        ("//idporten.no", False),
        (None, False),
        (1, False),
    ],
)
def test_only_https_and_this_machine_are_called(url: object, may: bool) -> None:
    assert may_be_called(url) is may


def test_the_examples_of_the_document_are_profiles() -> None:
    found = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) >= 4
    issuers = {Profile.model_validate_json(text).issuer for text in found}
    assert len(issuers) == len(found)


def test_the_document_names_every_field() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert not [name for name in Profile.model_fields if f"`{name}`" not in text]
    assert profiles.Algorithm is not None
    assert PROFILE["issuer"] == ISSUER
