"""The checker sees every class of damage, and none where there is none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.faults.checker import check
from tests.faults.findings import Damage
from tests.faults.history import History, Kind, Outcome
from tests.faults.observed import Challenge, Copy, Effect, Entry, MailRow, Observed, Owed, Record, Session, Wait

BOOK = uuid4()
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
KARI = "kari@eksempel.example"


class World:
    """A round in which all went well: three entries of one book, and one code that was mailed and redeemed."""

    def __init__(self) -> None:
        self.history, self.observed, self.kari = History(), Observed(), uuid4()
        self.entries = [Entry(BOOK, version, uuid4()) for version in (1, 2, 3)]
        self.events = [str(uuid4()) for _ in self.entries]
        for entry, event_id in zip(self.entries, self.events, strict=True):
            self.history.begin(Kind.ENTRY, str(BOOK), entry.entry_id).settle(Outcome.OK)
            self.observed.entries.append(entry)
            self.owe(event_id, "ledger.EntryAdded.v1", str(BOOK), entry.entry_id)
            self.observed.effects.append(Effect(BOOK, entry.version, entry.entry_id, event_id))
        self.observed.totals[BOOK] = 3
        self.challenge = Challenge(uuid4(), KARI, settled=True, issued=True)
        self.history.begin(Kind.CODE, KARI).settle(Outcome.OK, self.challenge.id)
        self.observed.challenges.append(self.challenge)
        self.wanted = str(uuid4())
        self.owe(self.wanted, "auth.OtpRequested.v1", str(self.challenge.id))
        self.mail = MailRow(uuid4(), self.wanted, "delivered", NOW + timedelta(minutes=10), NOW)
        self.observed.mails.append(self.mail)
        self.observed.copies.append(Copy(self.mail.id, KARI, NOW))
        self.owe(str(uuid4()), "notifications.MailDelivered.v1", str(self.mail.id))
        for outcome in (Outcome.OK, Outcome.REFUSED):
            self.history.begin(Kind.REDEMPTION, KARI, self.challenge.id).settle(outcome)
        self.observed.sessions.append(Session(uuid4(), self.kari, KARI))

    def owe(self, message_id: str, kind: str, key: str, entry_id: UUID | None = None) -> None:
        said = {} if entry_id is None else {"entry_id": str(entry_id)}
        self.observed.owed.append(Owed(message_id, kind, key, said))
        self.observed.records.append(Record("topic", message_id, kind))
        self.observed.known_ids.add(message_id)

    def tell(self, kind: str) -> None:
        """Let the one event about the mail be of this kind."""
        self.observed.owed = [owed for owed in self.observed.owed if not owed.type.startswith("notifications.")]
        self.owe(str(uuid4()), f"notifications.{kind}.v1", str(self.mail.id))

    def change_mail(self, **changes: object) -> None:
        self.observed.mails[0] = replace(self.mail, **changes)  # type: ignore[arg-type]

    def damages(self) -> set[Damage]:
        findings = check(self.history, self.observed, longest_wait=30)
        return {damage for damage, found in findings.damages.items() if found}


def test_a_round_in_which_all_went_well_is_clean() -> None:
    world = World()
    findings = check(world.history, world.observed)
    assert findings.clean
    assert findings.lines() == []
    assert world.observed.duplicates == 0


def lose_an_acknowledged_entry(world: World) -> None:
    world.history.begin(Kind.ENTRY, str(BOOK), uuid4()).settle(Outcome.OK)


def lose_an_effect(world: World) -> None:
    world.observed.effects.pop()
    world.observed.totals[BOOK] = 2


def lose_a_count(world: World) -> None:
    world.observed.totals[BOOK] = 2


def lose_a_challenge(world: World) -> None:
    world.history.begin(Kind.CODE, KARI).settle(Outcome.OK, uuid4())


def settle_a_challenge_without_a_code(world: World) -> None:
    world.observed.challenges[0] = replace(world.challenge, issued=False)


def lose_a_session(world: World) -> None:
    world.observed.sessions.clear()


def write_an_entry_twice(world: World) -> None:
    world.observed.entries.append(Entry(BOOK, 4, world.entries[0].entry_id))


def tell_of_an_entry_twice(world: World) -> None:
    world.owe(str(uuid4()), "ledger.EntryAdded.v1", str(BOOK), world.entries[0].entry_id)


def act_on_an_event_twice(world: World) -> None:
    world.observed.effects.append(world.observed.effects[-1])


def count_an_event_twice(world: World) -> None:
    world.observed.totals[BOOK] = 4


def make_two_challenges_of_one_command(world: World) -> None:
    other = Challenge(uuid4(), KARI, settled=True, issued=True)
    world.observed.challenges.append(other)
    world.owe(message_id := str(uuid4()), "auth.OtpRequested.v1", str(other.id))
    world.observed.mails.append(replace(world.mail, id=uuid4(), wanted_by=message_id))


def redeem_a_code_twice(world: World) -> None:
    world.history.begin(Kind.REDEMPTION, KARI, world.challenge.id).settle(Outcome.OK)
    world.observed.sessions.append(Session(uuid4(), world.kari, KARI))


def act_before_an_earlier_one(world: World) -> None:
    world.observed.effects.sort(key=lambda effect: -effect.version)


def write_what_was_refused(world: World) -> None:
    world.history.commands[0].settle(Outcome.REFUSED)


def write_what_nobody_wanted(world: World) -> None:
    world.history.commands.pop(0)


def tell_of_what_was_rolled_back(world: World) -> None:
    world.owe(str(uuid4()), "ledger.EntryAdded.v1", str(BOOK), uuid4())


def publish_what_no_archive_has(world: World) -> None:
    world.observed.records.append(Record("topic", str(uuid4()), "ledger.EntryAdded.v1"))


def act_on_what_was_rolled_back(world: World) -> None:
    world.observed.effects.append(Effect(BOOK, 4, uuid4(), str(uuid4())))
    world.observed.totals[BOOK] = 4


def mail_what_nobody_owes(world: World) -> None:
    world.observed.copies.append(Copy(uuid4(), KARI, NOW))


def tell_nobody_of_an_entry(world: World) -> None:
    world.observed.owed = [owed for owed in world.observed.owed if owed.entry_id != world.entries[0].entry_id]


def tell_nobody_of_a_code(world: World) -> None:
    world.observed.owed = [owed for owed in world.observed.owed if not owed.type.startswith("auth.")]


def tell_nobody_of_a_mail(world: World) -> None:
    world.observed.owed = [owed for owed in world.observed.owed if not owed.type.startswith("notifications.")]


def leave_an_event_waiting(world: World) -> None:
    lose_an_effect(world)
    world.observed.waiting.add(world.events[-1])


def keep_an_event_under_way_for_long(world: World) -> None:
    world.observed.waits.append(Wait(world.events[-1], NOW, NOW, NOW + timedelta(seconds=31)))


def leave_a_challenge_unsettled(world: World) -> None:
    world.observed.challenges[0] = replace(world.challenge, settled=False, issued=False)


def leave_a_mail_unsettled(world: World) -> None:
    world.change_mail(outcome=None)


def tell_of_a_mail_twice(world: World) -> None:
    world.owe(str(uuid4()), "notifications.MailDelivered.v1", str(world.mail.id))


def tell_of_a_mail_what_is_not_so(world: World) -> None:
    world.tell("MailBounced")


def owe_no_mail(world: World) -> None:
    world.observed.mails.clear()
    world.observed.copies.clear()


def note_a_mail_that_never_came(world: World) -> None:
    world.observed.copies.clear()


def note_a_bounce_that_never_was(world: World) -> None:
    world.change_mail(outcome="bounced")


def give_a_mail_up_too_early(world: World) -> None:
    world.change_mail(outcome="given_up")


def send_a_mail_twice(world: World) -> None:
    world.observed.copies.append(Copy(world.mail.id, KARI, NOW + timedelta(seconds=9)))


def send_a_mail_again_while_the_first_connection_lives(world: World) -> None:
    world.observed.copies[0] = Copy(world.mail.id, KARI, NOW, followed=False, ended_at=NOW + timedelta(seconds=20))
    send_a_mail_twice(world)


def send_a_mail_twice_though_nobody_died(world: World) -> None:
    world.observed.copies[0] = Copy(world.mail.id, KARI, NOW, followed=False, ended_at=NOW + timedelta(seconds=1))
    send_a_mail_twice(world)


def send_a_mail_again_long_after_the_answer_was_noted(world: World) -> None:
    world.observed.copies[0] = Copy(world.mail.id, KARI, NOW, followed=True, ended_at=NOW + timedelta(seconds=5))
    world.observed.courier_deaths.append(NOW + timedelta(seconds=5))
    send_a_mail_twice(world)


def mail_an_expired_code(world: World) -> None:
    world.change_mail(expires_at=NOW - timedelta(seconds=30))


DAMAGES: list[tuple[Damage, Callable[[World], None]]] = [
    (Damage.LOST, lose_an_acknowledged_entry),
    (Damage.LOST, lose_an_effect),
    (Damage.LOST, lose_a_count),
    (Damage.LOST, lose_a_challenge),
    (Damage.LOST, settle_a_challenge_without_a_code),
    (Damage.LOST, lose_a_session),
    (Damage.TWICE, write_an_entry_twice),
    (Damage.TWICE, tell_of_an_entry_twice),
    (Damage.TWICE, act_on_an_event_twice),
    (Damage.TWICE, count_an_event_twice),
    (Damage.TWICE, make_two_challenges_of_one_command),
    (Damage.TWICE, redeem_a_code_twice),
    (Damage.GAP, act_before_an_earlier_one),
    (Damage.INVERSION, act_before_an_earlier_one),
    (Damage.GHOST, write_what_was_refused),
    (Damage.GHOST, write_what_nobody_wanted),
    (Damage.GHOST, tell_of_what_was_rolled_back),
    (Damage.GHOST, publish_what_no_archive_has),
    (Damage.GHOST, act_on_what_was_rolled_back),
    (Damage.GHOST, mail_what_nobody_owes),
    (Damage.ZOMBIE, tell_nobody_of_an_entry),
    (Damage.ZOMBIE, tell_nobody_of_a_code),
    (Damage.ZOMBIE, tell_nobody_of_a_mail),
    (Damage.STUCK, leave_an_event_waiting),
    (Damage.STUCK, keep_an_event_under_way_for_long),
    (Damage.STUCK, leave_a_challenge_unsettled),
    (Damage.STUCK, leave_a_mail_unsettled),
    (Damage.MAIL_LOST, owe_no_mail),
    (Damage.MAIL_LOST, note_a_mail_that_never_came),
    (Damage.MAIL_LOST, note_a_bounce_that_never_was),
    (Damage.MAIL_LOST, give_a_mail_up_too_early),
    (Damage.MAIL_TWICE, send_a_mail_twice),
    (Damage.MAIL_TWICE, send_a_mail_again_while_the_first_connection_lives),
    (Damage.MAIL_TWICE, send_a_mail_twice_though_nobody_died),
    (Damage.MAIL_TWICE, send_a_mail_again_long_after_the_answer_was_noted),
    (Damage.TWICE, tell_of_a_mail_twice),
    (Damage.GHOST, tell_of_a_mail_what_is_not_so),
    (Damage.MAIL_EXPIRED, mail_an_expired_code),
]


@pytest.mark.parametrize(("damage", "do"), DAMAGES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_it_names_what_went_wrong(damage: Damage, do: Callable[[World], None]) -> None:
    world = World()
    do(world)
    assert damage in world.damages()


def test_every_class_of_damage_is_shown_to_it() -> None:
    assert {damage for damage, _ in DAMAGES} == set(Damage)


def test_a_command_that_nobody_knows_of_may_have_had_its_effect_or_not() -> None:
    world = World()
    for command in (world.history.commands[0], world.history.begin(Kind.ENTRY, str(BOOK), uuid4())):
        command.settle(Outcome.UNKNOWN)
    world.history.begin(Kind.CODE, KARI)
    assert world.damages() == set()


@pytest.mark.parametrize("followed", [False, True], ids=["nothing followed", "the next mail followed"])
def test_a_copy_whose_sender_died_before_it_could_note_the_answer_is_counted_on_its_own(*, followed: bool) -> None:
    world = World()
    world.observed.copies[0] = Copy(world.mail.id, KARI, NOW, followed=followed, ended_at=NOW + timedelta(seconds=1))
    world.observed.courier_deaths.append(NOW + timedelta(seconds=2))
    send_a_mail_twice(world)
    findings = check(world.history, world.observed)
    assert findings.clean
    assert findings.mails_doubled_by_a_death == 1


def test_a_copy_that_the_server_kept_before_it_cut_the_connection_is_counted_on_its_own() -> None:
    world = World()
    world.observed.copies[0] = Copy(world.mail.id, KARI, NOW, followed=False, ended_at=NOW, dropped=True)
    send_a_mail_twice(world)
    findings = check(world.history, world.observed)
    assert findings.clean
    assert findings.mails_doubled_by_the_server == 1


def test_a_mail_to_an_address_that_the_server_refuses_may_bounce() -> None:
    world = World()
    world.observed.bouncing.add(KARI)
    world.observed.copies.clear()
    world.tell("MailBounced")
    world.change_mail(outcome="bounced")
    assert world.damages() == set()


def test_a_mail_whose_code_expired_may_be_given_up() -> None:
    world = World()
    world.observed.copies.clear()
    world.tell("MailGivenUp")
    world.change_mail(outcome="given_up", settled_at=world.mail.expires_at)
    assert world.damages() == set()


def test_a_message_may_be_under_way_for_as_long_as_is_promised() -> None:
    world = World()
    world.observed.waits.append(Wait(world.events[-1], NOW, NOW, NOW + timedelta(seconds=30)))
    assert world.damages() == set()


def test_records_that_come_again_are_counted() -> None:
    world = World()
    world.observed.records.append(world.observed.records[0])
    assert world.damages() == set()
    assert world.observed.duplicates == 1
