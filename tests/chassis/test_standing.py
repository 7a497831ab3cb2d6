"""Where tasks stand: by name and place, outermost first, without a value."""

import asyncio

from chassis import standing


async def outer(secret: str) -> None:
    await inner(secret)


async def inner(_secret: str) -> None:
    await asyncio.Event().wait()


async def test_every_unfinished_task_is_given_with_its_places_and_no_value() -> None:
    task = asyncio.create_task(outer("hunter2"), name="sleeper")
    await asyncio.sleep(0)
    found = {each["task"]: each["at"] for each in standing.tasks()}
    everyone = {each.get_name() for each in asyncio.all_tasks()}  # A client of another test may not have ended.
    task.cancel()
    assert [place.partition(" ")[2] for place in found["sleeper"]] == ["outer", "inner", "wait"]
    assert found["sleeper"][0].startswith("test_standing.py:")
    assert "hunter2" not in str(found)
    assert set(found) == everyone > {"sleeper"}  # The test itself runs as another.


async def test_a_chain_without_end_is_cut() -> None:
    async def deeper(left: int) -> None:
        await (deeper(left - 1) if left else asyncio.Event().wait())

    task = asyncio.create_task(deeper(100), name="diver")
    await asyncio.sleep(0)
    (at,) = [each["at"] for each in standing.tasks() if each["task"] == "diver"]
    task.cancel()
    assert len(at) == standing.DEEPEST
