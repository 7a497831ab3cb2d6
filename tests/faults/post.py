"""Post: a real mail server that misbehaves by chance, and remembers what became of each connection."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from uuid import UUID

from aiosmtpd.smtp import Envelope, Session

from deploy.local import replies
from deploy.local.mailbox import Mailbox
from deploy.local.mailbox_smtp import Connection, Conversation
from deploy.local.mails import Mails
from deploy.local.replies import Reply
from tests.faults.observed import Copy

BOUNCING = "bounces"
"""An address that begins so is refused for good."""

MISBEHAVIOUR: tuple[tuple[float, Callable[[], Reply]], ...] = (
    (0.02, lambda: replies.answer(421)),
    (0.03, lambda: replies.answer(450)),
    (0.01, lambda: replies.answer(450, at="data")),
    (0.01, replies.hang),
    (0.005, lambda: replies.hang(at="data")),
    (0.01, lambda: replies.drop(keeps=False)),
    (0.01, lambda: replies.drop(keeps=True)),
)
"""How often, and what, a server does instead of taking a mail."""


@dataclass(slots=True)
class _Kept:
    mail_id: UUID | None
    to: str
    received_at: datetime
    connection: "_Watched"
    bytes_before: int
    dropped: bool

    def copy(self) -> Copy:
        watched = self.connection
        followed = watched.bytes_in > self.bytes_before
        return Copy(self.mail_id, self.to, self.received_at, followed, watched.ended_at, self.dropped)


class _Watched(Connection):
    """A connection that counts what its client says and notes when it ends."""

    def __init__(self, conversation: Conversation, open_ones: set[Connection]) -> None:
        super().__init__(conversation, open_ones)
        self.bytes_in = 0
        self.ended_at: datetime | None = None

    def data_received(self, data: bytes) -> None:
        self.bytes_in += len(data)
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended_at = datetime.now(UTC)
        super().connection_lost(error)


class _Noting(Conversation):
    """A conversation that tells of each mail it keeps, with the connection that brought it."""

    def __init__(self, post: "Post", mails: Mails) -> None:
        super().__init__(mails, post.tries, post.reply)
        self._post = post
        self._dropping = False

    async def handle_DATA(self, server: Connection, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self._server = server
        return await super().handle_DATA(server, session, envelope)

    async def _misbehave(self, server: Connection, envelope: Envelope, reply: Reply) -> str:
        self._dropping = reply.does == "drop"
        return await super()._misbehave(server, envelope, reply)

    async def _keep(self, envelope: Envelope) -> None:
        await super()._keep(envelope)
        self._post.note(self._server, envelope, dropped=self._dropping)


class Post(Mailbox):
    """The mailbox of the fault suite."""

    def __init__(self) -> None:
        super().__init__()
        self.chance: random.Random | None = None
        """Where its misbehaviour is drawn from; None while it behaves."""
        self.away = False
        """Whether it answers everybody with 421."""
        self._kept: list[_Kept] = []

    def copies(self, addresses: set[str]) -> list[Copy]:
        """List what came for some people, in order of arrival."""
        return [kept.copy() for kept in self._kept if kept.to in addresses]

    def reply(self, recipient: str) -> Reply | None:
        """Decide what to do with a recipient."""
        if self.away:
            return replies.answer(421)
        if recipient.startswith(BOUNCING):
            return replies.answer(550)
        if self.chance is None:
            return None
        drawn = self.chance.random()
        for share, misbehave in MISBEHAVIOUR:
            drawn -= share
            if drawn < 0:
                return misbehave()
        return None

    def note(self, server: Connection, envelope: Envelope, *, dropped: bool) -> None:
        assert isinstance(server, _Watched)
        named = message_from_bytes(envelope.original_content or b"")["Message-ID"]
        local = str(named).strip("<> ").partition("@")[0]
        mail_id = UUID(local) if _is_uuid(local) else None
        self._kept.append(_Kept(mail_id, envelope.rcpt_tos[0], datetime.now(UTC), server, server.bytes_in, dropped))

    def _connect(self) -> Connection:
        return _Watched(_Noting(self, self.mails), self._connections)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
