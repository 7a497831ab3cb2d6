"""App: the simulator's routes, its page for people, and the control of its faults."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from deploy.local.provider.faults import Fault
from deploy.local.provider.people import PEOPLE
from deploy.local.provider.simulator import LEVELS, Refused, Simulator

SLOW_SECONDS = 30.0
TOO_LARGE = 1_000_000
INSTEAD: Mapping[Fault, Callable[[], Response]] = {
    Fault.EXCHANGE_DOWN: lambda: Response(status_code=502),
    Fault.EXCHANGE_NO_JSON: lambda: HTMLResponse("<h1>Maintenance</h1>"),
    Fault.EXCHANGE_TOO_LARGE: lambda: JSONResponse({"id_token": "x" * TOO_LARGE}),
    Fault.EXCHANGE_ELSEWHERE: lambda: RedirectResponse("/elsewhere", 307),
}
"""What is answered instead of tokens."""
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True, undefined=StrictUndefined
)


class Faults(BaseModel):
    """What is switched on; all else is off."""

    faults: list[Fault]


class Rotation(BaseModel):
    """Whether the key before the new one is still published."""

    keep: bool = True


def application(simulator: Simulator) -> FastAPI:
    """Serve a simulator."""
    app = FastAPI(title="Identity provider", docs_url=None, redoc_url=None, openapi_url=None)
    app.exception_handlers[Refused] = _refused
    _add_discovery(app, simulator)
    _add_pages(app, simulator)
    _add_token(app, simulator)
    _add_control(app, simulator)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.error, "error_description": str(error)}, error.status)


def _add_discovery(app: FastAPI, simulator: Simulator) -> None:
    @app.get("/.well-known/openid-configuration")
    async def discovery() -> Response:
        if Fault.DISCOVERY_DOWN in simulator.faults:
            return Response(status_code=503)
        if Fault.DISCOVERY_NO_JSON in simulator.faults:
            return HTMLResponse("<h1>Maintenance</h1>")
        return JSONResponse(simulator.discovery())

    @app.get("/jwks")
    async def jwks() -> Response:
        if Fault.KEYS_DOWN in simulator.faults:
            return Response(status_code=503)
        return JSONResponse(simulator.keys.published(simulator.faults))


def _add_pages(app: FastAPI, simulator: Simulator) -> None:
    waiting: dict[str, dict[str, str]] = {}

    @app.get("/authorize")
    async def authorize(request: Request) -> HTMLResponse:
        found = simulator.request_of(dict(request.query_params))
        ticket = secrets.token_urlsafe(16)
        waiting[ticket] = dict(found)
        return _page("choose.html", ticket=ticket, people=PEOPLE, levels=_levels(found), client=found["client_id"])

    @app.post("/choices")
    async def choose(request: Request) -> RedirectResponse:
        form = await _form(request)
        found = waiting.pop(form.get("ticket", ""), None)
        if found is None:
            raise Refused("invalid_request", "this page was used already")
        if "cancel" in form:
            return RedirectResponse(simulator.cancel(found), 303)
        person = PEOPLE[int(form.get("person", "0"))]
        return RedirectResponse(simulator.decide(found, person, form.get("acr", "substantial")), 303)

    @app.get("/logout")
    async def log_out(request: Request) -> HTMLResponse:
        back_to, told = simulator.end(dict(request.query_params))
        return _page("logged_out.html", back_to=back_to, told=told)


def _levels(request: Mapping[str, str]) -> list[str]:
    return request.get("acr_values", "").split() or list(LEVELS)


def _add_token(app: FastAPI, simulator: Simulator) -> None:
    @app.post("/par", status_code=201)
    async def push(request: Request) -> Response:
        if Fault.PUSHED_DOWN in simulator.faults:
            return Response(status_code=500)
        if Fault.PUSHED_REFUSED in simulator.faults:
            raise Refused("invalid_request", "as it was told to")
        said = simulator.push(await _form(request), _basic(request))
        if Fault.PUSHED_NO_URI in simulator.faults:
            del said["request_uri"]
        return JSONResponse(said, 201)

    @app.post("/token")
    async def exchange(request: Request) -> Response:
        if Fault.EXCHANGE_SLOW in simulator.faults:
            await asyncio.sleep(SLOW_SECONDS)
        for fault in simulator.faults & INSTEAD.keys():
            return INSTEAD[fault]()
        return JSONResponse(simulator.exchange(await _form(request), _basic(request)))


def _add_control(app: FastAPI, simulator: Simulator) -> None:
    @app.get("/control/faults")
    async def show_faults() -> Faults:
        return Faults(faults=sorted(simulator.faults))

    @app.put("/control/faults")
    async def switch_faults(faults: Faults) -> Faults:
        simulator.faults = set(faults.faults)
        return Faults(faults=sorted(simulator.faults))

    @app.post("/control/rotations", status_code=204)
    async def rotate(rotation: Rotation) -> None:
        simulator.keys.rotate(keep=rotation.keep)

    @app.get("/")
    async def show() -> HTMLResponse:
        return _page("control.html", faults=[each.value for each in Fault], on=sorted(simulator.faults), people=PEOPLE)

    @app.post("/control/page")
    async def switch_by_page(request: Request) -> RedirectResponse:
        chosen = (await _form(request)).get("fault", "")
        simulator.faults = {Fault(chosen)} if chosen else set()
        return RedirectResponse("/", 303)


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(given).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("invalid_client", "unreadable", 401) from None
    return unquote_plus(name), unquote_plus(secret)


def _page(template: str, **values: object) -> HTMLResponse:
    return HTMLResponse(_PAGES.get_template(template).render(values))
