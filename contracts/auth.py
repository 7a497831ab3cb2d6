"""What `auth` says and is asked: who has an account, where mail reaches them, what they may do, which codes are good."""

from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from contracts.message import Id, Message, Time
from contracts.privacy import Auth, Notifications, Privacy, Sealed
from contracts.requests import Accepted, NotProven, Refused
from contracts.rights import OrganisationKind
from contracts.topics import (
    ACCESS_ORDERS,
    ACCOUNTS,
    AUTH_ANSWERS,
    AUTH_REQUESTS,
    CODES,
    ORGANISATIONS,
    RIGHTS,
    SESSIONS,
)

Number = Annotated[str, Field(pattern="^[0-9]{9}$")]
"""Organisasjonsnummer in Enhetsregisteret."""


class Purpose(StrEnum):
    """What a one-time code is good for."""

    LOGIN = "login"


class AccountChanged(Message, topic=ACCOUNTS, key="account_id", overtakes=True):
    """An account's whole state; a reader keeps the highest (epoch, version) it has seen.

    The epoch is raised when the owner's database was restored: its truth then wins over what was told in the lost time.
    `language` is `nb`, `nn` or `en`.
    """

    account_id: Id
    epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    version: Annotated[int, Field(ge=1), Privacy.OPEN]
    active: Annotated[bool, Privacy.OPEN]
    address: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    language: Annotated[Sealed[Notifications], Privacy.PERSONAL]


class AccountErased(Message, topic=ACCOUNTS, key="account_id", overtakes=True):
    """An account is no more; a reader forgets its person and keeps the version, so that nothing older brings them back.

    Compared like the version of `AccountChanged`: a newer state, told after the owner was restored, does bring it back.
    """

    account_id: Id
    epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    version: Annotated[int, Field(ge=1), Privacy.OPEN]


class OtpRequested(Message, topic=CODES, key="challenge_id"):
    """A one-time code was issued and is to be mailed to the account's address (G1).

    `account_epoch` and `account_version` say which state of the account the code was issued for, so that it never goes
    to an address that was replaced. `reference` is the short word that mail and page share (G5). A code is worth
    nothing after `expires_at`, and is then not sent.
    """

    challenge_id: Id
    account_id: Id
    account_epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    account_version: Annotated[int, Field(ge=1), Privacy.OPEN]
    purpose: Annotated[Purpose, Privacy.OPEN]
    reference: Annotated[str, Field(pattern="^[A-Z0-9]{4}$"), Privacy.OPEN]
    code: Annotated[Sealed[Notifications], Privacy.SECRET]
    issued_at: Time
    expires_at: Time


class TokensVoided(Message, topic=SESSIONS, key="account_id", overtakes=True):
    """Access tokens of an account are void from now on, though they have not expired.

    Either those of one session, which has ended, or all of the account whose epoch is lower than `below_epoch`: its holder
    was disabled, or lost a right, or has a new password, or ended all sessions. Exactly one of the two is given. Once the
    last token that was issued before `voided_at` has expired, this says nothing any more.
    """

    account_id: Id
    session_id: Annotated[UUID | None, Privacy.ID] = None
    below_epoch: Annotated[int | None, Field(ge=1, le=2**63 - 1), Privacy.OPEN] = None
    voided_at: Time

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if (self.session_id is None) == (self.below_epoch is None):
            raise ValueError("exactly one of session_id and below_epoch must be given")
        return self


class OrganisationChanged(Message, topic=ORGANISATIONS, key="organisation_id", overtakes=True):
    """An organisation's whole state; a reader keeps the highest (epoch, version) it has seen.

    Name and number travel in the clear: registers of organisations are public.
    """

    organisation_id: Id
    epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    version: Annotated[int, Field(ge=1), Privacy.OPEN]
    active: Annotated[bool, Privacy.OPEN]
    """Nobody acts for one that is not."""
    kind: Annotated[OrganisationKind, Privacy.OPEN]
    name: Annotated[str, Privacy.OPEN]
    number: Annotated[Number | None, Privacy.OPEN] = None


class RightsChanged(Message, topic=RIGHTS, key="membership_id", overtakes=True):
    """All that an account may do for an organisation; a reader keeps the highest (epoch, version) it has seen.

    No groups: it may no longer act there. A membership is never forgotten, so that no reader brings rights back.
    """

    membership_id: Id
    account_id: Id
    organisation_id: Id
    epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    version: Annotated[int, Field(ge=1), Privacy.OPEN]
    groups: Annotated[tuple[str, ...], Privacy.OPEN]
    """Names of groups of rights, sorted; `contracts.rights` says what each holds."""


class AccessOrdered(Message, topic=ACCESS_ORDERS, key="order_id"):
    """Somebody orders access (C3, U29): who may grant it is told that something waits, and reads it in the portal."""

    order_id: Id
    organisation_id: Id
    audience: Annotated[tuple[UUID, ...], Privacy.ID]
    """The accounts that may decide."""
    ordered_at: Time


class AccessDecided(Message, topic=ACCESS_ORDERS, key="order_id"):
    """An order for access was decided; who ordered it is told so, at the address that was typed in."""

    order_id: Id
    organisation_id: Id
    granted: Annotated[bool, Privacy.OPEN]
    account_id: Annotated[UUID | None, Privacy.ID] = None
    """Whose access it is, where it was granted."""
    address: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    language: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    decided_at: Time


class OtpRequestedV2(Message, topic=CODES, key="challenge_id", major=2):
    """A one-time code for something else than to log in was issued and is to be mailed to the account's address (G1).

    As the first version, which goes on for log-ins; but `purpose` is open, because each new one would break readers of a
    closed list: `activation` (the first password, U5), `password_reset` (a new one, U16) and `unlink` (an electronic ID
    is parted from the account, I14) are known. Whoever reads one
    that is unknown sets the message aside until a newer release knows it.
    """

    challenge_id: Id
    account_id: Id
    account_epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    account_version: Annotated[int, Field(ge=1), Privacy.OPEN]
    purpose: Annotated[str, Field(pattern="^[a-z_]{1,40}$"), Privacy.OPEN]
    reference: Annotated[str, Field(pattern="^[A-Z0-9]{4}$"), Privacy.OPEN]
    code: Annotated[Sealed[Notifications], Privacy.SECRET]
    issued_at: Time
    expires_at: Time


class LinkCodeRequested(Message, topic=CODES, key="challenge_id"):
    """A one-time code to link an electronic ID with an e-mail address is to be mailed there (I4, I6).

    Whoever has the address may have no account yet, so the message brings address and language itself, sealed.
    """

    challenge_id: Id
    address: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    language: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    reference: Annotated[str, Field(pattern="^[A-Z0-9]{4}$"), Privacy.OPEN]
    code: Annotated[Sealed[Notifications], Privacy.SECRET]
    issued_at: Time
    expires_at: Time


class UserNameRequested(Message, topic=CODES, key="challenge_id"):
    """A reminder of a user name was asked for and is to be mailed to the account's address (L3).

    It is on the topic of codes although it opens no door: it is wanted as soon, and told of no longer. `user_name` is the
    address for those who log in with it. After `expires_at` it is not sent.
    """

    challenge_id: Id
    account_id: Id
    account_epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    account_version: Annotated[int, Field(ge=1), Privacy.OPEN]
    user_name: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    asked_at: Time
    expires_at: Time


class PasswordInstructionsRequested(Message, topic=CODES, key="challenge_id"):
    """Instructions for a new password were asked for and are to be mailed to the account's address (L5, L6).

    `token` is what the link in the mail ends with: whoever brings it, once, before `expires_at`, chooses a password. No
    password is in any mail.
    """

    challenge_id: Id
    account_id: Id
    account_epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    account_version: Annotated[int, Field(ge=1), Privacy.OPEN]
    token: Annotated[Sealed[Notifications], Privacy.SECRET]
    issued_at: Time
    expires_at: Time


class PasswordChanged(Message, topic=ACCOUNTS, key="account_id"):
    """An account's password was set: the first, a forgotten one's successor, or another. Its person is told.

    On the topic of accounts, whose seven days let the notice outlast an outage of the mail. It holds nothing secret.
    """

    account_id: Id
    account_epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    account_version: Annotated[int, Field(ge=1), Privacy.OPEN]
    changed_at: Time


class AddressReplaced(Message, topic=ACCOUNTS, key="account_id"):
    """An account has another address. Whoever reads mail at the one it had is told so, and not what the new one is.

    `address` is the old one, `language` that of its reader. On the topic of accounts, as `PasswordChanged` is.
    """

    account_id: Id
    address: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    language: Annotated[Sealed[Notifications], Privacy.PERSONAL]
    replaced_at: Time


class AccountBlocked(Message, topic=ACCOUNTS, key="account_id"):
    """Wrong passwords in a row have blocked an account in some browser until a time (L7). Its person is told, until then.

    On the topic of accounts, because it is about one and holds nothing secret; a block itself is `auth`'s alone.
    """

    account_id: Id
    account_epoch: Annotated[int, Field(ge=1), Privacy.OPEN]
    account_version: Annotated[int, Field(ge=1), Privacy.OPEN]
    until: Time


class RegisterAccount(Message, topic=AUTH_REQUESTS, key="registration_id"):
    """Asks for an account, so that its holder may log in; `RequestAccepted` gives the account's id.

    The holder is told nothing. `language` is `nb`, `nn` or `en`: the one that mails are written in.
    """

    registration_id: Id
    """The sender's own id of this registration; those of one id are acted on in order."""
    organisation_id: Id
    """Whose member or employee the holder is: it must be registered, and the sender must be allowed to act for it."""
    address: Annotated[Sealed[Auth], Privacy.PERSONAL]
    language: Annotated[Sealed[Auth], Privacy.PERSONAL]
    user_name: Annotated[Sealed[Auth] | None, Privacy.PERSONAL] = None
    """What the holder logs in with, where that is not the address (L1)."""
    full_name: Annotated[Sealed[Auth] | None, Privacy.PERSONAL] = None


class RegisterOrganisation(Message, topic=AUTH_REQUESTS, key="organisation_id"):
    """Asks for a customer's organisation under an id that the sender chose, or for its new name and number.

    `RequestAccepted` gives the same id.
    """

    organisation_id: Id
    name: Annotated[str, Field(min_length=1, max_length=200), Privacy.OPEN]
    number: Annotated[Number | None, Privacy.OPEN] = None


class GrantRight(Message, topic=AUTH_REQUESTS, key="account_id"):
    """Asks for a group of rights that was bought; `RequestAccepted` gives the membership's id."""

    account_id: Id
    organisation_id: Id
    group: Annotated[str, Field(min_length=1, max_length=100), Privacy.OPEN]


class RevokeRight(Message, topic=AUTH_REQUESTS, key="account_id"):
    """Asks for a group of rights to be taken away; `RequestAccepted` gives the membership's id."""

    account_id: Id
    organisation_id: Id
    group: Annotated[str, Field(min_length=1, max_length=100), Privacy.OPEN]


class DeactivateAccount(Message, topic=AUTH_REQUESTS, key="account_id"):
    """Asks that an account of the organisation logs in no more; `RequestAccepted` gives the account's id."""

    account_id: Id
    organisation_id: Id


class RequestAccepted(Accepted, Message, topic=AUTH_ANSWERS, key="request_id"):
    """A request was acted on. The same request again is not, and gets this answer again, with the same `ce_id`."""


class RequestRefused(Refused, Message, topic=AUTH_ANSWERS, key="request_id"):
    """A request of a known system was refused, and nothing was done.

    After `by_rule` the same request again gets this answer again; after another reason it is judged anew.
    """


class RequestNotProven(NotProven, Message, topic=AUTH_ANSWERS, key="system"):
    """Something was sent in a system's name and no signature proves it; nothing was done.

    It says nothing about a request of that id: anybody may have sent it. Who sent it knows it by partition and offset.
    """
