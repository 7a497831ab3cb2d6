"""Settings: what is missing or unsafe keeps auth from starting, and says so without showing it."""

import base64
import json
from ipaddress import ip_network

import pytest
from pydantic import SecretStr

from chassis.errors import Misconfigured
from services.auth.limits import Limits
from services.auth.settings import AuthSettings
from tests.auth.world import CODE_KEY, PEPPER

NEEDED = {
    "DATABASE_URL": "postgresql://auth_app@db.example.no/samband",
    "PUBLIC_KEYS": "keys/public",
    "PRIVATE_KEYS": "keys/auth.json",
    "CODE_KEY": CODE_KEY.get_secret_value(),
    "PASSWORD_PEPPER": PEPPER.get_secret_value(),
    "TOKEN_PRIVATE_KEYS": "keys/auth-tokens.json",
}


def read(monkeypatch: pytest.MonkeyPatch, **given: str) -> AuthSettings:
    for name, value in (NEEDED | given).items():
        monkeypatch.setenv(f"SAMBAND_{name}", value)
    return AuthSettings.read("auth")


def test_the_limits_are_those_that_are_published_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits.of(read(monkeypatch)) == Limits(known_networks={})
    assert (Limits().tries_per_code, Limits().tries_per_quarter, Limits().failures_per_day) == (5, 10, 20)
    assert (Limits().tries_in_a_row, Limits().block_minutes, Limits().reset_lifts_block) == (5, 15, False)
    assert (Limits().codes_per_quarter, Limits().source_limit, Limits().code_minutes) == (3, 300, 10)


def test_every_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = {"10.1.0.0/16": 5_000, "2001:db8::/32": 700}
    given = {
        "CODE_MINUTES": "9",
        "CODES_PER_QUARTER": "2",
        "TRIES_PER_CODE": "4",
        "TRIES_PER_QUARTER": "8",
        "FAILURES_PER_DAY": "19",
        "SOURCE_LIMIT": "200",
        "TRIES_IN_A_ROW": "4",
        "BLOCK_MINUTES": "20",
        "RESET_LIFTS_BLOCK": "true",
        "KNOWN_NETWORKS": json.dumps(networks),
    }
    known = {ip_network(network): limit for network, limit in networks.items()}
    assert Limits.of(read(monkeypatch, **given)) == Limits(9, 2, 4, 8, 19, 200, 4, 20, True, known)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("CODE_KEY", "not base64!", "must be base64"),
        ("CODE_KEY", base64.b64encode(b"k" * 31).decode(), "32 bytes"),
        ("CODE_KEY", "", "32 bytes"),
        ("PASSWORD_PEPPER", "not base64!", "must be base64"),
        ("PASSWORD_PEPPER", base64.b64encode(b"p" * 31).decode(), "32 bytes"),
        ("TRIES_IN_A_ROW", "0", "1"),
        ("TRIES_IN_A_ROW", "11", "10"),
        ("BLOCK_MINUTES", "0", "1"),
        ("CODE_MINUTES", "11", "10"),
        ("TRIES_PER_CODE", "6", "5"),
        ("TRIES_PER_QUARTER", "11", "10"),
        ("FAILURES_PER_DAY", "21", "20"),
        ("CODES_PER_QUARTER", "0", "1"),
        ("KNOWN_NETWORKS", '{"10.1.0.1/16": 5000}', "network"),
        ("TRUSTED_PROXIES", '["everybody"]', "network"),
    ],
)
def test_a_setting_that_is_wrong_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str
) -> None:
    with pytest.raises(Misconfigured) as refused:
        read(monkeypatch, **{name: value})
    assert f"SAMBAND_{name}: " in str(refused.value)
    assert what in str(refused.value)
    assert not value or value not in str(refused.value)


@pytest.mark.parametrize("name", ["SAMBAND_CODE_KEY", "SAMBAND_PASSWORD_PEPPER"])
def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    read(monkeypatch)
    monkeypatch.delenv(name)
    with pytest.raises(Misconfigured, match=f"{name}: is missing"):
        AuthSettings.read("auth")


@pytest.mark.parametrize("key", [CODE_KEY, PEPPER])
def test_a_key_does_not_show_itself(monkeypatch: pytest.MonkeyPatch, key: SecretStr) -> None:
    assert key.get_secret_value() not in repr(read(monkeypatch))
