"""Tries of one address are counted one after the other, so that a limit below the number of connections holds too."""

import asyncio
from collections import Counter

import pytest

from tests.auth.world import WRONG, Owner, World

KARI = "kari@example.no"


@pytest.mark.goal("sec-A2")
async def test_of_guesses_at_the_same_time_no_more_are_judged_than_the_limit(world: World, owner: Owner) -> None:
    world = world.limited(tries_per_quarter=2)
    await world.add(KARI)
    browsers = world.browsers(20)
    challenges = await asyncio.gather(*(browser.ask(KARI) for browser in browsers))
    tries = (browser.redeem(challenge, WRONG) for browser, challenge in zip(browsers, challenges, strict=True))
    answers = await asyncio.gather(*tries)
    assert Counter(answer.status_code for answer in answers) == {403: 2, 429: 18}
    assert await owner.fetchval("select count(*) from auth.code_attempts") == 2
