"""Token keys: rotated so that no service refuses a good token, and refused where they do not fit together."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chassis import cli, signing
from chassis.errors import Misconfigured
from chassis.keysets import WrongStep
from chassis.tokens import BadToken, Verifier, read_keys, sign
from deploy.local import keysets as made
from services.auth import commands
from services.auth.__main__ import SERVICE
from services.auth.sessions import token_keys
from services.auth.sessions.token_keys import KEEP, TokenKeys
from tests.support import tickets

OLD = "auth-tokens-1"

pytestmark = pytest.mark.goal("sec-A11")


@pytest.fixture
def keys(tmp_path: Path) -> TokenKeys:
    return TokenKeys(*made.make_tokens(tmp_path))


def content(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text(encoding="utf-8"))["keys"])


def write(path: Path, found: list[Any]) -> None:
    path.write_text(json.dumps({"keys": found}), encoding="utf-8")


def token(keys: TokenKeys) -> str:
    """Sign as auth does when it starts with these files."""
    return sign(tickets.claims(), token_keys.signing_key(keys))


def takes(public: Path, text: str) -> bool:
    """Tell whether a service that starts with this public set takes a token."""
    try:
        Verifier(read_keys(public), issuer=tickets.ISSUER, audience=tickets.SERVICE).verify(text)
    except BadToken:
        return False
    return True


def use_long_ago(keys: TokenKeys) -> None:
    since = int((datetime.now(UTC) - KEEP).timestamp()) - 1
    write(keys.public, [key | ({"nbf": since} if "nbf" in key else {}) for key in content(keys.public)])


def test_a_rotation_refuses_no_good_token_at_any_step(keys: TokenKeys, tmp_path: Path) -> None:
    before, old_set = token(keys), tmp_path / "old.json"
    old_set.write_bytes(keys.public.read_bytes())
    new = token_keys.begin(keys)
    assert takes(old_set, token(keys)), "auth signs with the old key until every service has the new one"
    assert token_keys.use(keys) == new
    after = token(keys)
    assert (takes(keys.public, before), takes(keys.public, after), takes(old_set, after)) == (True, True, False)
    use_long_ago(keys)
    assert token_keys.retire(keys) == [OLD]
    assert (takes(keys.public, after), takes(keys.public, before)) == (True, False)
    assert [key["kid"] for key in content(keys.private)] == [new]
    assert not [key for key in content(keys.public) if "d" in key]


def test_each_step_is_refused_out_of_turn(keys: TokenKeys) -> None:
    for step, says in ((token_keys.use, "no new key waits"), (token_keys.retire, "nothing to retire")):
        with pytest.raises(WrongStep, match=says):
            step(keys)
    new = token_keys.begin(keys)
    for step, says in ((token_keys.begin, f"{new} is made and does not sign yet"), (token_keys.retire, "nothing to")):
        with pytest.raises(WrongStep, match=says):
            step(keys)
    token_keys.use(keys)
    for step, says in (
        (token_keys.begin, "not retired yet"),
        (token_keys.use, "no new key waits"),
        (token_keys.retire, f"{OLD} may be needed until"),
    ):
        with pytest.raises(WrongStep, match=says):
            step(keys)


def test_a_step_that_was_cut_short_is_begun_again(keys: TokenKeys) -> None:
    before = keys.private.read_bytes()
    lost = token_keys.begin(keys)
    keys.private.write_bytes(before)  # As if the process had died between the two files.
    new = token_keys.begin(keys)
    assert [key["kid"] for key in content(keys.public)] == [OLD, new]
    assert lost not in {key.key for key in token_keys.list_keys(keys)}
    token_keys.use(keys)
    assert takes(keys.public, token(keys))


def test_keys_are_listed_without_their_secrets(keys: TokenKeys) -> None:
    new = token_keys.begin(keys)
    found = token_keys.list_keys(keys)
    assert [(key.key, key.signs, key.can_sign, key.public) for key in found] == [
        (OLD, True, True, True),
        (new, False, True, True),
    ]
    assert content(keys.private)[0]["d"] not in repr(found)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda keys: keys.private.unlink(), "cannot be read"),
        (lambda keys: keys.private.write_text("{"), "is not a JWK Set"),
        (lambda keys: keys.private.write_text("[]"), "is not a JWK Set"),
        (lambda keys: write(keys.private, []), "holds no key"),
        (lambda keys: write(keys.private, ["x"]), "holds no key"),
        (lambda keys: write(keys.private, [{"kty": "what"}]), "no JWK"),
        (lambda keys: write(keys.private, content(keys.public)), "must be a private Ed25519 or P-256 key"),
        (lambda keys: write(keys.private, content(keys.private) * 2), "two keys of one `kid`"),
        (lambda keys: write(keys.private, [{**content(keys.private)[0], "kid": ""}]), "with a `kid`"),
        (
            lambda keys: write(keys.private, [signing.new_key(OLD).as_dict(private=True)]),
            f"lacks the public half of {OLD}",
        ),
        (
            lambda keys: write(keys.private, [signing.new_key("other").as_dict(private=True)]),
            "lacks the public half of other",
        ),
        (lambda keys: keys.public.unlink(), "cannot be read"),
    ],
)
def test_what_no_service_would_take_keeps_auth_from_starting(keys: TokenKeys, spoil: Any, says: str) -> None:
    spoil(keys)
    with pytest.raises(Misconfigured, match=says):
        token_keys.signing_key(keys)


async def run(keys: TokenKeys, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[Any], str]:
    given: argparse.Namespace = cli.parser(SERVICE, commands.COMMANDS).parse_args(
        ["token-keys", *words, "--public", str(keys.public), "--private", str(keys.private)]
    )
    code = await given.work(SERVICE, given)
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


async def test_operators_are_led_through_the_steps(keys: TokenKeys, capsys: pytest.CaptureFixture[str]) -> None:
    code, (made_,), said = await run(keys, capsys, "rotate")
    assert (code, "rotate --use" in said) == (0, True)
    code, (used,), said = await run(keys, capsys, "rotate", "--use")
    assert (code, used["signs"], "rotate --retire" in said) == (0, made_["made"], True)
    code, nothing, said = await run(keys, capsys, "rotate", "--retire")
    assert (code, nothing, "may be needed until" in said) == (1, [], True)
    use_long_ago(keys)
    code, (retired,), _ = await run(keys, capsys, "rotate", "--retire")
    assert (code, retired["retired"]) == (0, [OLD])
    code, (listed,), _ = await run(keys, capsys, "list")
    assert (code, listed["key"], listed["signs"]) == (0, made_["made"], True)
