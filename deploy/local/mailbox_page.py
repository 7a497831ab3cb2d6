"""The mailbox's page: what was caught, for eyes at `/` and for programs at `/api/mails`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, Field

from deploy.local.mails import Mail, Mails

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("pages")), autoescape=True, undefined=StrictUndefined
)
# A mail may hold anything: it runs no script, loads nothing from elsewhere, and cannot leave its frame.
_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; style-src 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'"
)


class CaughtMail(BaseModel):
    """A mail as `/api/mails` shows it; `from` and `to` are the envelope's, `size` is in bytes."""

    number: int
    message_id: str
    sender: str = Field(serialization_alias="from")
    to: list[str]
    subject: str
    text: str
    html: str
    received_at: datetime
    size: int


def application(mails: Mails) -> FastAPI:
    """The page of one mailbox."""
    app = FastAPI(title="Samband mailbox", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    async def show_mails() -> HTMLResponse:
        return _page("mails.html", mails=mails.listed())

    @app.get("/mails/{number}")
    async def show_mail(number: int) -> HTMLResponse:
        return _page("mail.html", mail=_get(mails, number))

    @app.get("/refresh.js")
    async def refresh() -> Response:
        return Response((Path(__file__).with_name("pages") / "refresh.js").read_bytes(), media_type="text/javascript")

    @app.get("/api/mails")
    async def list_mails(to: str | None = None, after: int = 0) -> list[CaughtMail]:
        return [CaughtMail.model_validate(mail, from_attributes=True) for mail in mails.listed(to=to, after=after)]

    @app.delete("/api/mails", status_code=204)
    async def forget_mails() -> None:
        mails.clear()

    return app


class Site:
    """The page served on a socket that listens already, in the running loop, until `close`."""

    def __init__(self, mails: Mails, listener: socket.socket) -> None:
        config = uvicorn.Config(application(mails), log_config=None, access_log=False, lifespan="off")
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def close(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        await self._serving


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the program around the page, which stops it with `close`."""
        yield


def _get(mails: Mails, number: int) -> Mail:
    mail = mails.find(number)
    if mail is None:
        raise HTTPException(404, f"There is no mail {number} (any more).")
    return mail


def _page(template: str, **values: object) -> HTMLResponse:
    return HTMLResponse(_PAGES.get_template(template).render(values), headers={"Content-Security-Policy": _POLICY})
