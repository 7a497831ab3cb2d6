"""A code and the mail that it owes stand and fall together, whichever of the two fails."""

from uuid import UUID

import pytest

from tests.auth.world import World

KARI = "kari@example.no"


@pytest.mark.goal("rel-R4")
@pytest.mark.parametrize("step", ["chassis.outbox.add", "services.auth.codes.store.settle_ask"])
async def test_whatever_fails_while_a_code_is_issued_the_next_try_owes_its_one_mail(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    async def fail(*_: object) -> None:
        raise ConnectionResetError

    await world.add(KARI)
    challenge = await world.browser().ask(KARI)
    with monkeypatch.context() as broken, pytest.raises(ConnectionResetError):
        broken.setattr(step, fail)
        await world.issue_next()
    assert await world.mails() == []
    await world.issue_all()
    assert [mail.challenge_id for mail in await world.mails()] == [UUID(challenge["challenge_id"])]
