"""JWKS: others are shown the public keys of this service alone, the one to seal with first."""

import json
from pathlib import Path

import httpx2
import pytest

from chassis import http, jwks, sealing
from chassis.sealing import Keyring

OLD, NEW = sealing.new_key("things-1"), sealing.new_key("things-2")


async def shown(folder: Path) -> list[dict[str, str]]:
    app = http.create_app(title="things", version="1", routers=[jwks.router(Keyring.load("things", folder, None))])
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://things.example") as client:
        return list((await client.get(jwks.PATH)).json()["keys"])


@pytest.mark.goal("sec-P2")
async def test_the_own_public_keys_are_shown_in_the_order_in_which_they_are_used(tmp_path: Path) -> None:
    for name, keys in (("things", (NEW, OLD)), ("auth", (sealing.new_key("auth-1"),))):
        text = json.dumps({"keys": [key.as_dict(private=False) for key in keys]})
        (tmp_path / f"{name}.json").write_text(text)
    told = await shown(tmp_path)
    assert [key["kid"] for key in told] == ["things-2", "things-1"]
    assert not [key for key in told if "d" in key]


async def test_a_service_that_nobody_seals_to_shows_none(tmp_path: Path) -> None:
    assert await shown(tmp_path) == []
