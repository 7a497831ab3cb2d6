"""Consumers: what more of them bring when each event waits for something slow."""

import asyncio
import time
from contextlib import AsyncExitStack

from bench.crew import Figures
from bench.ground import Ground, ground
from bench.plan import Plan
from bench.remote import Remote
from bench.servers import Servers

COUNTS = (1, 2, 4)
SLOW_SECONDS = 0.01
BATCH = 20
"""Small, so that a batch of slow events commits several times a second and its count is seen."""
SETTLING_SECONDS = 4.0
"""A group of consumers is rearranged when one joins."""
WARM = 100
"""Events that each consumer has done before the measuring: the first of a partition are tried one at a time."""


async def measure(servers: Servers, plan: Plan) -> Figures:
    """Let one group of one, two and four processes work on a backlog that none of them can finish."""
    async with ground(servers) as made:
        rates = {count: await _group(made, plan, count) for count in COUNTS}
    figures = {f"consumers.with_{count}_per_second": rate for count, rate in rates.items()}
    return figures | {f"consumers.ratio_of_{count}_to_1": rates[count] / rates[1] for count in COUNTS[1:]}


async def _group(made: Ground, plan: Plan, count: int) -> float:
    made = await made.renewed()
    await made.owe(round(count / SLOW_SECONDS * (plan.seconds + 3 * SETTLING_SECONDS)))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(made.role("relaying", kind="ours"))
        enter = [stack.enter_async_context(made.role("reader", waits=SLOW_SECONDS, batch=BATCH)) for _ in range(count)]
        readers = [await each for each in enter]
        await asyncio.gather(*(reader.ask("assigned") for reader in readers))
        await asyncio.sleep(SETTLING_SECONDS)
        await asyncio.gather(*(reader.ask("until", count=WARM) for reader in readers))
        began, before = time.monotonic(), await _handled(readers)
        await asyncio.sleep(plan.seconds)
        rate = (await _handled(readers) - before) / (time.monotonic() - began)
    plan.tell(f"  {count} consumers, {SLOW_SECONDS * 1000:g} ms an event: {rate:,.0f}/s")
    return rate


async def _handled(readers: list[Remote]) -> int:
    return sum(await asyncio.gather(*(reader.ask("count") for reader in readers)))
