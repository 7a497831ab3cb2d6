"""Courier: claims a mail, asks the database's clock whether it is still worth sending, sends it, and says what came of it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import monotonic
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram

from chassis import outbox, tracing
from chassis.failpoints import reach
from chassis.loop import Loop, backoff
from chassis.postgres import Database, is_outage
from chassis.sealing import CannotOpen, Keyring, Place
from contracts.notifications import GivenUp, MailBounced, MailDelivered, MailGivenUp
from services.notifications import access_mails, account_mails, code_mails, store
from services.notifications.rendering import Renderer, TemplateError, compose
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import Answer, Mailer, Verdict
from services.notifications.store import Mail

log = structlog.get_logger()

MAILS_BELL = "mails"
MARGIN_SECONDS = 3.0
BROKEN_ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
POLL_SECONDS = 1.0
PERMANENT_FAILURE = 550
SETTLED = Counter("samband_mails_settled", "Mails by what became of them.", ["kind", "outcome"])
ANSWERS = Counter("samband_mail_answers", "Answers of the mail server.", ["verdict"])
AGE = Histogram(
    "samband_mail_age_seconds", "From the mail being owed to its being taken.", buckets=(0.1, 0.5, 1, 5, 30, 120, 600)
)

Values = Callable[[Mail, Keyring], Mapping[str, object]]
KINDS: Mapping[str, Values] = {
    **dict.fromkeys((*code_mails.KINDS.values(), code_mails.LINK), code_mails.values),
    account_mails.USER_NAME: account_mails.user_name,
    account_mails.INSTRUCTIONS: account_mails.instructions,
    account_mails.CHANGED: account_mails.change,
    account_mails.BLOCKED: account_mails.block,
    account_mails.REPLACED: account_mails.farewell,
    **dict.fromkeys(access_mails.KINDS, access_mails.values),
}
"""What the template of each kind of mail is given."""


class Courier:
    """Sends owed mails; several at once, in one process or many, never two the same mail."""

    def __init__(self, database: Database, mailer: Mailer, renderer: Renderer, settings: NotificationsSettings) -> None:
        self._database = database
        self._mailer = mailer
        self._renderer = renderer
        self._settings = settings
        self._outages = 0

    def loops(self) -> list[Loop]:
        """Make a loop for each connection to the mail server; they hear the bell of owed mails."""
        loops = [
            Loop(f"courier-{n}", self.tick, every=POLL_SECONDS, at_end=self._mailer.close)
            for n in range(self._settings.smtp_connections)
        ]
        for loop in loops:
            self._database.bell.hear(MAILS_BELL, loop.wake)
        return loops

    async def tick(self) -> int:
        """Deal with one mail that is due; gives 0 when there is none, or while the mail server is away."""
        lease = self._settings.smtp_answer_seconds + MARGIN_SECONDS
        async with self._database.transaction() as conn:
            mails = await store.claim_mails(conn, limit=1, seconds=lease)
        for mail in mails:
            reach("courier.claimed")
            what: tracing.Attributes = {"samband.mail_id": str(mail.id), "samband.attempt": mail.attempts}
            with tracing.resumed("send mail", mail.traceparent, what, kind=SpanKind.CLIENT):
                await self._deal_with(mail)
        return len(mails) if self._outages == 0 else 0

    async def _deal_with(self, mail: Mail) -> None:
        if (reason := _why_not(mail)) is not None:
            await self._give_up(mail, reason)
            return
        try:
            mail = _addressed(mail, self._database.identity.keyring)
            text = self._write(mail)
        except (CannotOpen, TemplateError, ValueError, KeyError) as error:
            await self._broken(mail, error)
            return
        address = str(mail.address)
        answer = await self._mailer.hand_over(self._settings.code_sender, address, text, lambda: self._still_ours(mail))
        reach("courier.sent")
        ANSWERS.labels(verdict=answer.verdict.value).inc()
        tracing.tell("samband.mail_verdict", answer.verdict.value)
        self._outages = self._outages + 1 if answer.verdict is Verdict.OUTAGE else 0
        await self._settle_surely(mail, answer)

    async def _settle_surely(self, mail: Mail, answer: Answer) -> None:
        """Note the answer through an outage of Postgres: a mail that was taken and not noted would be sent again."""
        failures = 0
        while True:
            try:
                await self._settle(mail, answer)
            except Exception as error:
                if not is_outage(error):
                    raise
                failures += 1
                log.warning("mail_waits_to_be_settled", mail_id=str(mail.id), error=type(error).__name__)
                await asyncio.sleep(backoff(failures, longest=2.0))
            else:
                return

    def _write(self, mail: Mail) -> bytes:
        assert mail.language is not None  # noqa: S101 -- it comes with the address.
        settings = self._settings
        values = {
            **KINDS[mail.kind](mail, self._database.identity.keyring),
            "portal": str(settings.portal_url).rstrip("/"),
            "sender_name": settings.organisation,
            "sender_address": settings.code_sender,
            "support": {"email": settings.support_email, "phone": settings.support_phone},
        }
        message = compose(
            self._renderer.render(mail.kind, mail.language, values),
            organisation=settings.organisation,
            sender=settings.code_sender,
            recipient=str(mail.address),
            message_id=f"<{mail.id}@{settings.message_id_domain}>",
            date=mail.owed_at,
        )
        return message.as_bytes()

    async def _still_ours(self, mail: Mail) -> bool:
        """Renew the claim for as long as the server may take over the text; one that Postgres was slow to confirm is not used.

        By the time that its answer is here, the claim may have run out: another courier sends the mail then.
        """
        asked = monotonic()
        lease = self._settings.smtp_accept_seconds + MARGIN_SECONDS
        async with self._database.transaction() as conn:
            confirmed = await store.confirm_claim(conn, mail, seconds=lease)
        reach("courier.confirmed")
        if confirmed and (took := monotonic() - asked) > MARGIN_SECONDS:
            log.warning("claim_confirmed_late", mail_id=str(mail.id), seconds=round(took, 1))
            return False
        return confirmed

    async def _settle(self, mail: Mail, answer: Answer) -> None:
        match answer.verdict:
            case Verdict.TAKEN:
                await self._delivered(mail, answer)
            case Verdict.NEVER:
                await self._bounced(mail, answer)
            case Verdict.LATER:
                await self._postpone(mail, backoff(mail.attempts, first=FIRST_PAUSE, longest=LONGEST_PAUSE), answer)
            case Verdict.OUTAGE:
                await self._postpone(mail, backoff(self._outages, first=1.0, longest=20.0), answer)
            case Verdict.WITHDRAWN:
                log.info("mail_withdrawn", mail_id=str(mail.id))

    async def _delivered(self, mail: Mail, answer: Answer) -> None:
        async with self._database.transaction() as conn:
            moment = await store.settle_mail(conn, mail, "delivered", answer.code)
            if moment is None:
                log.warning("mail_sent_after_its_claim", mail_id=str(mail.id))
                return
            await outbox.add(
                conn,
                MailDelivered(
                    mail_id=mail.id,
                    account_id=mail.account_id,
                    about=UUID(mail.message_id),
                    kind=mail.kind,
                    delivered_at=moment,
                    account_epoch=mail.contact_epoch,
                    account_version=mail.contact_version,
                ),
            )
        self._count(mail, "delivered")
        AGE.observe((moment - mail.owed_at).total_seconds())

    async def _bounced(self, mail: Mail, answer: Answer) -> None:
        code = answer.code or PERMANENT_FAILURE
        async with self._database.transaction() as conn:
            moment = await store.settle_mail(conn, mail, "bounced", code)
            if moment is None:
                return
            await outbox.add(
                conn,
                MailBounced(
                    mail_id=mail.id,
                    account_id=mail.account_id,
                    about=UUID(mail.message_id),
                    kind=mail.kind,
                    smtp_code=code,
                    bounced_at=moment,
                    account_epoch=mail.contact_epoch,
                    account_version=mail.contact_version,
                ),
            )
        self._count(mail, "bounced")

    async def _give_up(self, mail: Mail, reason: GivenUp) -> None:
        async with self._database.transaction() as conn:
            moment = await store.settle_mail(conn, mail, "given_up", None)
            if moment is None:
                return
            await outbox.add(
                conn,
                MailGivenUp(
                    mail_id=mail.id,
                    account_id=mail.account_id,
                    about=UUID(mail.message_id),
                    kind=mail.kind,
                    reason=reason,
                    given_up_at=moment,
                ),
            )
        self._count(mail, reason.value)

    async def _broken(self, mail: Mail, error: Exception) -> None:
        """A mail that cannot be written is our fault: tried again, then given up with an alarm."""
        log.error("mail_not_written", mail_id=str(mail.id), kind=mail.kind, attempts=mail.attempts, exc_info=error)
        if mail.attempts >= BROKEN_ATTEMPTS:
            await self._give_up(mail, GivenUp.UNDELIVERABLE)
        else:
            await self._postpone(mail, backoff(mail.attempts, first=1.0), Answer(Verdict.LATER))

    async def _postpone(self, mail: Mail, seconds: float, answer: Answer) -> None:
        counted = answer.verdict is not Verdict.OUTAGE
        async with self._database.transaction() as conn:
            await store.postpone_mail(conn, mail, seconds=seconds, smtp_code=answer.code, counted=counted)
        log.info(
            "mail_postponed",
            mail_id=str(mail.id),
            smtp=answer.code,  # lint: allow secret-in-log -- the number of an SMTP answer
            seconds=round(seconds, 1),
            attempts=mail.attempts,
        )

    def _count(self, mail: Mail, outcome: str) -> None:
        SETTLED.labels(kind=mail.kind, outcome=outcome).inc()
        log.info("mail_settled", mail_id=str(mail.id), account_id=str(mail.account_id), outcome=outcome)


def _addressed(mail: Mail, keyring: Keyring) -> Mail:
    """Open the address that the message has brought, if it has; raises `CannotOpen`."""
    if mail.sealed_address is None:
        return mail
    place = Place(mail.message_id, mail.message_type, "address")
    return replace(mail, address=keyring.open(mail.sealed_address, place))


def _why_not(mail: Mail) -> GivenUp | None:
    if mail.expired:
        return GivenUp.EXPIRED
    if mail.address is None and mail.sealed_address is None:
        return GivenUp.NO_ADDRESS
    if not mail.active:
        return GivenUp.INACTIVE
    return None
