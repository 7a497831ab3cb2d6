"""Settings: read once from the environment; what is missing or wrong is named, its value never."""

import base64
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis.errors import Misconfigured
from chassis.settings import ServiceSettings, read
from services.auth.settings import AuthSettings
from services.notifications.settings import NotificationsSettings

RIGHT = {
    "SAMBAND_DATABASE_URL": "postgresql://things_app:hidden@localhost/things",
    "SAMBAND_PUBLIC_KEYS": "/keys/public",
    "SAMBAND_PRIVATE_KEYS": "/keys/private/things.json",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with what every service needs and nothing else of ours."""
    for name in [name for name in os.environ if name.upper().startswith("SAMBAND_")]:
        monkeypatch.delenv(name)
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)


def refusal(settings: type[ServiceSettings] = ServiceSettings) -> str:
    with pytest.raises(Misconfigured) as refused:
        read(settings, "things")
    assert refused.value.__suppress_context__
    return str(refused.value)


def test_what_is_needed_is_enough_and_every_default_is_safe() -> None:
    found = read(ServiceSettings, "things")
    assert found.database_url == RIGHT["SAMBAND_DATABASE_URL"]
    assert found.private_keys == Path("/keys/private/things.json")
    assert (found.http_host, found.topic_prefix, found.origins, found.kafka) == ("127.0.0.1", "", (), None)
    assert (found.archive_days, found.largest_message, found.log_level) == (7, 900_000, "INFO")


def test_every_variable_that_is_missing_is_named_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RIGHT:
        monkeypatch.delenv(name)
    said = refusal()
    assert said.startswith("things cannot start, its environment is not right:\n")
    assert all(f"  {name}: is missing (" in said for name in RIGHT)
    assert "postgresql://<login role>" in said


WRONG = {
    "SAMBAND_DATABASE_URL": "mysql://canary",
    "SAMBAND_OWNER_DATABASE_URL": "canary",
    "SAMBAND_TOPIC_PREFIX": "Canary!",
    "SAMBAND_HTTP_PORT": "70000canary",
    "SAMBAND_POOL_SIZE": "1",
    "SAMBAND_SESSION_SECONDS": "canary",
    "SAMBAND_ARCHIVE_DAYS": "-1",
    "SAMBAND_LARGEST_MESSAGE": "1e99",
    "SAMBAND_LOG_LEVEL": "canary",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_variable_that_is_wrong_is_named_and_its_value_is_not_shown(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, WRONG[name])
    said = refusal()
    assert f"  {name}: " in said
    assert said.count("\n") == 1
    assert "canary" not in said.lower()


def test_the_password_of_a_wrong_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_DATABASE_URL", "http://things:canary@host/things")
    assert "canary" not in refusal()


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WRONG.items():
        monkeypatch.setenv(name, value)
    said = refusal()
    assert all(name in said for name in WRONG)


KEY = base64.b64encode(b"canary" * 8).decode()


@pytest.mark.parametrize("value", ["", "canary!", base64.b64encode(b"canary").decode(), KEY[:-3], "æ"])
def test_a_code_key_that_is_short_or_no_base64_is_refused_unseen(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_CODE_KEY", value)
    said = refusal(AuthSettings)
    assert "SAMBAND_CODE_KEY: " in said
    assert not value or value not in said


def test_a_secret_setting_does_not_show_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAMBAND_CODE_KEY", "SAMBAND_PASSWORD_PEPPER"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("SAMBAND_TOKEN_PRIVATE_KEYS", "keys/tokens.json")
    found = read(AuthSettings, "auth")
    assert found.code_key.get_secret_value() == found.password_pepper.get_secret_value() == KEY
    assert KEY not in repr(found) and KEY not in str(found.model_dump())


@pytest.mark.parametrize("settings", [AuthSettings, NotificationsSettings])
def test_an_empty_environment_names_everything_a_service_needs(
    settings: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in RIGHT:
        monkeypatch.delenv(name)
    said = refusal(settings)
    for name, field in settings.model_fields.items():
        assert (f"SAMBAND_{name.upper()}: is missing" in said) is field.is_required()


def test_settings_cannot_be_changed_while_the_service_runs() -> None:
    found = read(ServiceSettings, "things")
    with pytest.raises(ValidationError):
        found.http_port = 1  # type: ignore[misc]  # that is the point.


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("https://a.example", ("https://a.example",)),
        ("https://a.example,https://b.example", ("https://a.example", "https://b.example")),
        ("https://a.example,", ("https://a.example",)),
        (" https://a.example , https://b.example ", ("https://a.example", "https://b.example")),
    ],
)
def test_origins_are_a_list_with_commas(text: str, origins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_ORIGINS", text)
    assert read(ServiceSettings, "things").origins == origins


def test_other_variables_of_the_platform_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_SMTP_HOST", "mail.example")
    assert read(ServiceSettings, "things").http_port == 8080


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://app:secret-word@host:port/db",
        "postgresql://app:secret-word@[::1/db",
        "postgresql://app:secret-word@one:1,two:x/db",
        "postgresql://app:secret-word@host/db?sslmode=perhaps",
        "postgresql://app:secret-word@host:99999/db",
        "postgresql://app:secret-word@one:1,two:65536/db",
    ],
)
def test_an_address_that_the_client_could_not_take_apart_is_refused_at_the_start(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBAND_DATABASE_URL", address)
    said = refusal()
    assert "SAMBAND_DATABASE_URL: Value error, must be postgresql://user:password@host:port/database" in said
    assert "secret-word" not in said


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://app:pass,word@one:5432,two:5433/db?sslmode=verify-full",
        "postgres://app@[2001:db8::1]:5432/db",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://app:p%40ss@db.example.no/db",
    ],
)
def test_addresses_as_the_client_knows_them_are_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_DATABASE_URL", address)
    assert read(ServiceSettings, "things").database_url == address


def test_a_list_that_is_no_json_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_TRUSTED_PROXIES", "10.0.0.0/8, secret-word")
    said = refusal(AuthSettings)
    assert "SAMBAND_TRUSTED_PROXIES: is not JSON (JSON list of networks" in said
    assert "secret-word" not in said


@pytest.mark.parametrize("servers", ["localhost:abc", ":", "localhost:99999", "one:9092,", "one:1,two:x"])
def test_servers_of_kafka_that_the_client_could_not_take_apart_are_refused_at_the_start(
    servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMBAND_KAFKA", servers)
    assert "SAMBAND_KAFKA: Value error, must be host:port[,host:port], each port a number" in refusal()


@pytest.mark.parametrize("servers", ["one:9092", "one", "one:9092, two.example:9093", "[2001:db8::1]:9092", ""])
def test_servers_of_kafka_as_the_client_knows_them_are_taken(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_KAFKA", servers)
    assert read(ServiceSettings, "things").kafka == servers
