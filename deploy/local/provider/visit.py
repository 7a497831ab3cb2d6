"""Visit: what a person does at the simulator, done by a program: for the demo and for tests."""

from __future__ import annotations

import re

import httpx2

_TICKET = re.compile(r'name="ticket" value="([^"]+)"')


async def visit(
    client: httpx2.AsyncClient, url: str, *, person: int = 0, acr: str = "high", cancel: bool = False
) -> str:
    """Follow where auth sends the browser, choose who one is, and give the address that the browser is sent back to."""
    page = await client.get(url)
    found = _TICKET.search(page.text)
    assert found is not None, page.text
    form = {"ticket": found[1], "person": str(person), "acr": acr, **({"cancel": "1"} if cancel else {})}
    answer = await client.post(httpx2.URL(url).join("/choices"), data=form)
    assert answer.status_code == httpx2.codes.SEE_OTHER, answer.text
    return str(answer.headers["location"])
