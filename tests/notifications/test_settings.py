"""Settings: what is missing or wrong is named at the start, before any mail suffers from it."""

import os
from pathlib import Path

import pytest

from chassis.errors import Misconfigured
from services.notifications.settings import NotificationsSettings

GIVEN = {
    "SAMBAND_DATABASE_URL": "postgresql://app:hidden@db.example.no/samband",
    "SAMBAND_PUBLIC_KEYS": "keys/public",
    "SAMBAND_PRIVATE_KEYS": "keys/private.json",
    "SAMBAND_SMTP_HOST": "smtp.example.no",
    "SAMBAND_CODE_SENDER": "ikkesvar@example.no",
    "SAMBAND_ORGANISATION": "Eksempelforbundet",
    "SAMBAND_SUPPORT_EMAIL": "hjelp@example.no",
    "SAMBAND_SUPPORT_PHONE": "00 00 00 00",
    "SAMBAND_MESSAGE_ID_DOMAIN": "mail.example.no",
    "SAMBAND_PORTAL_URL": "https://portal.example.no",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("SAMBAND_"):
            monkeypatch.delenv(name)
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)


def read() -> NotificationsSettings:
    return NotificationsSettings.read("notifications")


def test_what_has_no_default_is_enough_and_the_defaults_are_safe() -> None:
    settings = read()
    assert settings.smtp_starttls
    assert settings.smtp_port == 587
    assert (settings.smtp_user, settings.smtp_password) == (None, None)
    assert settings.code_sender == "ikkesvar@example.no"


def test_all_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GIVEN:
        monkeypatch.delenv(name)
    with pytest.raises(Misconfigured) as refused:
        read()
    lines = str(refused.value).splitlines()
    assert lines[0] == "notifications cannot start, its environment is not right:"
    assert {line.strip().partition(":")[0] for line in lines[1:]} == set(GIVEN)
    assert all(": is missing" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAMBAND_SMTP_PORT", "70000"),
        ("SAMBAND_SMTP_PORT", "smtp"),
        ("SAMBAND_SMTP_STARTTLS", "perhaps"),
        ("SAMBAND_SMTP_CONNECTIONS", "0"),
        ("SAMBAND_SMTP_ANSWER_SECONDS", "-1"),
        ("SAMBAND_SMTP_ACCEPT_SECONDS", "-1"),
        ("SAMBAND_KEEP_MAILS_DAYS", "0"),
        ("SAMBAND_CODE_SENDER", "Eksempelforbundet <ikkesvar@example.no>"),
        ("SAMBAND_CODE_SENDER", "ikkesvar@blåbær.example"),
        ("SAMBAND_CODE_SENDER", "ikkesvar..her@example.no"),
        ("SAMBAND_CODE_SENDER", "ikkesvar@example.no\nBcc: a@example.no"),
        ("SAMBAND_ORGANISATION", "Eksempel\nforbundet"),
        ("SAMBAND_PORTAL_URL", "portal.example.no"),
        ("SAMBAND_PORTAL_URL", "javascript:alert(1)"),
        ("SAMBAND_MESSAGE_ID_DOMAIN", "mail example no"),
        ("SAMBAND_MESSAGE_ID_DOMAIN", "<mail.example.no>"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured) as refused:
        read()
    (line,) = str(refused.value).splitlines()[1:]
    assert line.startswith(f"  {name}: ")
    assert value not in line


def test_the_password_of_the_mail_server_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMBAND_SMTP_PASSWORD", "hush-hush")
    settings = read()
    assert settings.smtp_password is not None
    assert settings.smtp_password.get_secret_value() == "hush-hush"
    assert "hush-hush" not in f"{settings!r} {settings} {settings.model_dump()}"
