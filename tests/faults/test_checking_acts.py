"""The checker sees every class of damage that activations, wrong passwords, log-outs and users' edits can suffer."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from tests.faults.checker import check
from tests.faults.findings import Damage
from tests.faults.history import Kind, Outcome
from tests.faults.observed import Account, Block, Copy, Heard, MailRow, Membership, Owed, Record, Session
from tests.faults.test_checker import NOW, World

OLA, PER, LIV, IDA = (f"{name}@eksempel.example" for name in ("ola", "per", "liv", "ida"))
PAYROLL = "cases.payroll"
ACCOUNT, RIGHTS = "auth.AccountChanged.v1", "auth.RightsChanged.v1"
SERVICE_EPOCH = 1 << 32


class Acted(World):
    """All went well: Ola activated, Per was guessed at until he was blocked, Liv left, Ida was edited and given a right."""

    def __init__(self) -> None:
        super().__init__()
        self.ola, self.per, self.liv, self.ida = (uuid4() for _ in range(4))
        self.account(Account(self.ola, OLA, 1, 2, password_set=True))
        self.account(Account(self.per, PER, 1, 1, password_set=True))
        self.account(Account(self.liv, LIV, 1, 1, password_set=True))
        self.account(Account(self.ida, IDA, 3, 2, password_set=False))
        self.activate()
        self.guess()
        self.leave()
        self.edit()

    def account(self, account: Account) -> None:
        self.observed.accounts.append(account)
        for version in range(1, account.version + 1):
            self.fact(ACCOUNT, account.id, version)
        self.observed.standing[ACCOUNT, account.id] = (account.version, ())

    def fact(self, kind: str, key: UUID, version: int) -> None:
        message_id = self.say(kind, key, version=version)
        self.observed.heard.append(Heard(kind, key, version, message_id))

    def say(self, kind: str, key: UUID, **said: object) -> str:
        message_id = str(uuid4())
        self.observed.owed.append(Owed(message_id, kind, str(key), said))
        self.observed.records.append(Record("topic", message_id, kind))
        self.observed.known_ids.add(message_id)
        return message_id

    def mail_it(self, wanted_by: str, to: str) -> None:
        mail = MailRow(uuid4(), wanted_by, "delivered", NOW + timedelta(minutes=10), NOW)
        self.observed.mails.append(mail)
        self.observed.copies.append(Copy(mail.id, to, NOW))
        self.say("notifications.MailDelivered.v1", mail.id)

    def command(self, kind: Kind, key: str, outcome: Outcome, subject: UUID | None = None) -> None:
        command = self.history.begin(kind, key, subject)
        command.tries = 1
        command.settle(outcome)

    def activate(self) -> None:
        challenge = uuid4()
        for outcome in (Outcome.OK, Outcome.REFUSED):
            self.command(Kind.ACTIVATION, OLA, outcome, challenge)
        self.observed.sessions.append(Session(uuid4(), self.ola, OLA))
        self.say("auth.TokensVoided.v1", self.ola, below_epoch=SERVICE_EPOCH + 2, voided_at=NOW.isoformat())
        self.changed = self.say("auth.PasswordChanged.v1", self.ola, changed_at=NOW.isoformat())
        self.mail_it(self.changed, OLA)

    def guess(self) -> None:
        for _ in range(6):
            self.command(Kind.GUESS, PER, Outcome.REFUSED)
        self.command(Kind.LOG_IN, PER, Outcome.REFUSED)
        self.observed.blocks.append(Block(self.per, 5, blocked=True, told=True))
        self.mail_it(self.say("auth.AccountBlocked.v1", self.per), PER)

    def leave(self) -> None:
        browser = uuid4()
        for _ in range(3):
            self.command(Kind.LOG_IN, LIV, Outcome.OK)
        for _ in range(2):
            self.command(Kind.LOG_OUT, LIV, Outcome.OK, browser)
        self.command(Kind.END_OTHERS, LIV, Outcome.OK)
        for ended_at in (NOW, NOW + timedelta(seconds=1), None):
            session = Session(uuid4(), self.liv, LIV, ended_at)
            self.observed.sessions.append(session)
            if ended_at:
                self.say("auth.TokensVoided.v1", self.liv, session_id=str(session.id), voided_at=ended_at.isoformat())

    def edit(self) -> None:
        for version in (2, 3):
            self.command(Kind.EDIT, str(self.ida), Outcome.OK)
            self.history.commands[-1].seen, self.history.commands[-1].version = version - 1, version
        self.command(Kind.EDIT, str(self.ida), Outcome.REFUSED)
        self.say("auth.TokensVoided.v1", self.ida, below_epoch=SERVICE_EPOCH + 2, voided_at=NOW.isoformat())
        for gives in (True, False, True):
            self.command(Kind.RIGHT, str(self.ida), Outcome.OK)
            self.history.commands[-1].group, self.history.commands[-1].gives = PAYROLL, gives
        self.membership = Membership(uuid4(), self.ida, 3, (PAYROLL,))
        self.observed.memberships.append(self.membership)
        for version in (1, 2, 3):
            self.fact(RIGHTS, self.membership.id, version)
        self.observed.standing[RIGHTS, self.membership.id] = (3, (PAYROLL,))

    def forget(self, kind: str, key: UUID) -> Owed:
        """Let nobody have been told of the last of this kind."""
        owed = [each for each in self.observed.owed if (each.type, each.key) == (kind, str(key))][-1]
        self.observed.owed.remove(owed)
        return owed

    def hears(self, *versions: int) -> None:
        """Let the reader have heard of these versions of the membership, in this order."""
        others = [each for each in self.observed.heard if each.type != RIGHTS]
        self.observed.heard = others + [Heard(RIGHTS, self.membership.id, each, str(uuid4())) for each in versions]


def lose_a_password(world: Acted) -> None:
    world.forget("auth.PasswordChanged.v1", world.ola)
    world.observed.accounts[0] = replace(world.observed.accounts[0], password_set=False)


def set_a_password_that_nobody_hears_of(world: Acted) -> None:
    world.forget("auth.PasswordChanged.v1", world.ola)


def tell_of_a_password_twice(world: Acted) -> None:
    world.mail_it(world.say("auth.PasswordChanged.v1", world.ola, changed_at=NOW.isoformat()), OLA)


def tell_of_a_password_that_is_not_there(world: Acted) -> None:
    world.observed.accounts[0] = replace(world.observed.accounts[0], password_set=False)


def activate_twice_with_one_code(world: Acted) -> None:
    challenge = uuid4()
    for _ in range(2):
        world.command(Kind.ACTIVATION, OLA, Outcome.OK, challenge)


def refuse_a_code_that_is_right(world: Acted) -> None:
    for command in world.history.of(Kind.ACTIVATION):
        command.settle(Outcome.REFUSED)


def mail_nobody_about_a_password(world: Acted) -> None:
    world.observed.mails = [mail for mail in world.observed.mails if mail.wanted_by != world.changed]


def let_a_wrong_password_in(world: Acted) -> None:
    world.history.of(Kind.GUESS)[0].settle(Outcome.OK)


def let_somebody_in_who_is_blocked(world: Acted) -> None:
    world.history.of(Kind.LOG_IN)[0].settle(Outcome.OK)
    world.observed.sessions.append(Session(uuid4(), world.per, PER))


def keep_somebody_out_too_early(world: Acted) -> None:
    for command in world.history.of(Kind.GUESS)[:3]:
        world.history.commands.remove(command)


def compare_a_password_too_many(world: Acted) -> None:
    world.observed.blocks[0] = replace(world.observed.blocks[0], failures=6)


def count_too_few_wrong_passwords(world: Acted) -> None:
    world.observed.blocks[0] = replace(world.observed.blocks[0], failures=4)


def count_without_a_block(world: Acted) -> None:
    world.observed.blocks[0] = replace(world.observed.blocks[0], blocked=False)


def leave_a_block_untold(world: Acted) -> None:
    world.forget("auth.AccountBlocked.v1", world.per)
    world.observed.blocks[0] = replace(world.observed.blocks[0], told=False)


def note_a_block_as_told_that_was_not(world: Acted) -> None:
    world.forget("auth.AccountBlocked.v1", world.per)


def tell_of_a_block_twice(world: Acted) -> None:
    world.mail_it(world.say("auth.AccountBlocked.v1", world.per), PER)


def tell_of_a_block_that_never_was(world: Acted) -> None:
    world.mail_it(world.say("auth.AccountBlocked.v1", world.liv), LIV)


def go_on_with_a_session_that_was_logged_out(world: Acted) -> None:
    for session in [each for each in world.observed.sessions if each.address == LIV and each.ended_at]:
        world.observed.sessions.remove(session)
        world.observed.sessions.append(replace(session, ended_at=None))


def end_the_session_that_asked(world: Acted) -> None:
    last = world.observed.sessions.pop()
    world.observed.sessions.append(replace(last, ended_at=NOW + timedelta(seconds=1)))


def end_a_session_that_nobody_hears_of(world: Acted) -> None:
    world.forget("auth.TokensVoided.v1", world.liv)


def tell_of_an_end_twice(world: Acted) -> None:
    told = world.forget("auth.TokensVoided.v1", world.liv)
    for _ in range(2):
        world.say(told.type, world.liv, **told.said)


def tell_of_the_end_of_a_session_that_goes_on(world: Acted) -> None:
    last = world.observed.sessions[-1]
    world.say("auth.TokensVoided.v1", world.liv, session_id=str(last.id), voided_at=NOW.isoformat())


def void_all_tokens_and_tell_nobody(world: Acted) -> None:
    world.forget("auth.TokensVoided.v1", world.ida)


def void_all_tokens_twice(world: Acted) -> None:
    world.say("auth.TokensVoided.v1", world.ida, below_epoch=SERVICE_EPOCH + 2, voided_at=NOW.isoformat())


def void_tokens_of_an_epoch_that_never_was(world: Acted) -> None:
    world.say("auth.TokensVoided.v1", world.ida, below_epoch=SERVICE_EPOCH + 3, voided_at=NOW.isoformat())


def lose_an_edit(world: Acted) -> None:
    world.observed.accounts[3] = replace(world.observed.accounts[3], version=2)


def write_an_edit_twice(world: Acted) -> None:
    world.observed.accounts[3] = replace(world.observed.accounts[3], version=4)


def write_two_edits_over_each_other(world: Acted) -> None:
    for command in world.history.of(Kind.EDIT)[:2]:
        command.version = 3


def write_over_an_edit_that_was_not_seen(world: Acted) -> None:
    world.history.of(Kind.EDIT)[1].seen = 1


def tell_nobody_of_an_edit(world: Acted) -> None:
    world.forget(ACCOUNT, world.ida)


def tell_of_an_edit_twice(world: Acted) -> None:
    world.say(ACCOUNT, world.ida, version=3)


def tell_of_an_edit_that_was_rolled_back(world: Acted) -> None:
    world.say(ACCOUNT, world.ida, version=4)


def lose_a_right(world: Acted) -> None:
    world.observed.memberships[0] = replace(world.membership, groups=())
    world.observed.standing[RIGHTS, world.membership.id] = (3, ())


def leave_a_right_that_was_taken(world: Acted) -> None:
    world.history.of(Kind.RIGHT)[-1].gives = False


def change_rights_twice(world: Acted) -> None:
    world.observed.memberships[0] = replace(world.membership, version=4)


def hear_before_an_earlier_one(world: Acted) -> None:
    world.hears(1, 3, 2)


def hear_the_second_one_first(world: Acted) -> None:
    world.hears(2, 1, 3)


def hear_twice(world: Acted) -> None:
    world.hears(1, 2, 2, 3)


def hear_of_what_is_not_there(world: Acted) -> None:
    world.hears(1, 2, 3, 4)


def never_hear_the_last(world: Acted) -> None:
    world.hears(1, 2)


def leave_the_last_waiting_at_the_reader(world: Acted) -> None:
    world.hears(1, 2)
    last = [owed for owed in world.observed.owed if owed.type == RIGHTS][-1]
    world.observed.waiting.add(last.message_id)


def keep_an_older_state(world: Acted) -> None:
    world.observed.standing[RIGHTS, world.membership.id] = (2, ())


DAMAGES: list[tuple[Damage, Callable[[Acted], None]]] = [
    (Damage.LOST, lose_a_password),
    (Damage.ZOMBIE, set_a_password_that_nobody_hears_of),
    (Damage.TWICE, tell_of_a_password_twice),
    (Damage.GHOST, tell_of_a_password_that_is_not_there),
    (Damage.TWICE, activate_twice_with_one_code),
    (Damage.LOST, refuse_a_code_that_is_right),
    (Damage.MAIL_LOST, mail_nobody_about_a_password),
    (Damage.GHOST, let_a_wrong_password_in),
    (Damage.GHOST, let_somebody_in_who_is_blocked),
    (Damage.LOST, keep_somebody_out_too_early),
    (Damage.TWICE, compare_a_password_too_many),
    (Damage.LOST, count_too_few_wrong_passwords),
    (Damage.LOST, count_without_a_block),
    (Damage.STUCK, leave_a_block_untold),
    (Damage.ZOMBIE, note_a_block_as_told_that_was_not),
    (Damage.TWICE, tell_of_a_block_twice),
    (Damage.GHOST, tell_of_a_block_that_never_was),
    (Damage.LOST, go_on_with_a_session_that_was_logged_out),
    (Damage.GHOST, end_the_session_that_asked),
    (Damage.ZOMBIE, end_a_session_that_nobody_hears_of),
    (Damage.TWICE, tell_of_an_end_twice),
    (Damage.GHOST, tell_of_the_end_of_a_session_that_goes_on),
    (Damage.ZOMBIE, void_all_tokens_and_tell_nobody),
    (Damage.TWICE, void_all_tokens_twice),
    (Damage.GHOST, void_tokens_of_an_epoch_that_never_was),
    (Damage.LOST, lose_an_edit),
    (Damage.TWICE, write_an_edit_twice),
    (Damage.TWICE, write_two_edits_over_each_other),
    (Damage.LOST, write_over_an_edit_that_was_not_seen),
    (Damage.ZOMBIE, tell_nobody_of_an_edit),
    (Damage.TWICE, tell_of_an_edit_twice),
    (Damage.GHOST, tell_of_an_edit_that_was_rolled_back),
    (Damage.LOST, lose_a_right),
    (Damage.GHOST, leave_a_right_that_was_taken),
    (Damage.TWICE, change_rights_twice),
    (Damage.GAP, hear_before_an_earlier_one),
    (Damage.INVERSION, hear_before_an_earlier_one),
    (Damage.GAP, hear_the_second_one_first),
    (Damage.TWICE, hear_twice),
    (Damage.GHOST, hear_of_what_is_not_there),
    (Damage.LOST, never_hear_the_last),
    (Damage.STUCK, leave_the_last_waiting_at_the_reader),
    (Damage.LOST, keep_an_older_state),
]


def test_acts_that_went_well_are_clean() -> None:
    world = Acted()
    assert check(world.history, world.observed).lines() == []


@pytest.mark.parametrize(("damage", "do"), DAMAGES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_it_names_what_went_wrong(damage: Damage, do: Callable[[Acted], None]) -> None:
    world = Acted()
    do(world)
    assert damage in world.damages()


def test_whoever_may_have_been_guessed_at_often_enough_may_be_kept_out_or_not() -> None:
    world = Acted()
    for command in world.history.of(Kind.GUESS):
        command.settle(Outcome.UNKNOWN)
    assert world.damages() == set()


def test_an_edit_that_nobody_knows_of_may_have_made_a_version_or_not() -> None:
    for version in (3, 4):
        world = Acted()
        world.command(Kind.EDIT, str(world.ida), Outcome.UNKNOWN)
        if version == 4:
            world.observed.accounts[3] = replace(world.observed.accounts[3], version=4)
            world.fact(ACCOUNT, world.ida, 4)
            world.observed.standing[ACCOUNT, world.ida] = (4, ())
        assert world.damages() == set()


def test_a_session_that_ended_with_all_of_its_account_is_told_of_by_that() -> None:
    world = Acted()
    world.command(Kind.LOG_IN, OLA, Outcome.OK)
    world.observed.sessions.append(Session(uuid4(), world.ola, OLA, NOW))
    assert world.damages() == set()
