"""Mailbox: a real mail server that keeps what it is sent, and misbehaves on request.

As a program (`python -m deploy.local.mailbox --smtp-port P --http-port P`) it also shows the mails on a page.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from typing import Self

from deploy.local import mailbox_page, program
from deploy.local.errors import SetupError
from deploy.local.mailbox_smtp import Connection, Conversation, Tries
from deploy.local.mails import Mail, Mails
from deploy.local.ports import LOOPBACK
from deploy.local.replies import Reply, Script


class Mailbox:
    """The server, from `async with` to its end, on the running loop; port 0 takes a free one.

    The script may be exchanged while it runs. The page is served when `http_port` is given.
    """

    def __init__(
        self, *, smtp_port: int = 0, http_port: int | None = None, script: Script | None = None, keep: int = 1000
    ) -> None:
        self.smtp_host = LOOPBACK
        self.smtp_port = smtp_port
        self.http_port = http_port
        self.script = script
        self.mails = Mails(keep=keep)
        self.tries = Tries()
        self._connections: set[Connection] = set()

    @property
    def page(self) -> str:
        return f"http://{LOOPBACK}:{self.http_port}/"

    async def wait_for(self, count: int, *, to: str | None = None, within: float = 10.0) -> list[Mail]:
        """Wait until at least `count` mails are there, and list all that are, newest first; raise `TimeoutError`."""
        return await self.mails.wait_for(count, to=to, within=within)

    async def __aenter__(self) -> Self:
        listener = _listen(self.smtp_port)
        self.smtp_port = listener.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(self._connect, sock=listener)
        self._site: mailbox_page.Site | None = None
        if self.http_port is not None:
            try:
                web = _listen(self.http_port)
            except SetupError:
                self._server.close()
                raise
            self.http_port = web.getsockname()[1]
            self._site = mailbox_page.Site(self.mails, web)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.abort()
            await connection.ended()
        if self._site is not None:
            await self._site.close()

    def _connect(self) -> Connection:
        return Connection(Conversation(self.mails, self.tries, self._reply), self._connections)

    def _reply(self, recipient: str) -> Reply | None:
        return self.script(recipient) if self.script else None


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise SetupError(f"the mailbox cannot listen on {LOOPBACK}:{port}: {error.strerror}") from error


async def _serve(smtp_port: int, http_port: int) -> int:
    async with Mailbox(smtp_port=smtp_port, http_port=http_port) as mailbox:
        sys.stdout.write(f"mailbox: SMTP {LOOPBACK}:{mailbox.smtp_port}, page {mailbox.page}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.mailbox", description="Catch mails and show them.")
    parser.add_argument("--smtp-port", type=int, default=0, help="where mails are taken; 0, the default: any free port")
    parser.add_argument("--http-port", type=int, default=0, help="where they are shown; 0, the default: any free port")
    given = parser.parse_args()
    return program.run(_serve(given.smtp_port, given.http_port))


if __name__ == "__main__":
    sys.exit(main())
