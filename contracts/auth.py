"""What `auth` says: who has an account and where mail reaches them, and which codes are wanted."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.message import Id, Message, Time
from contracts.privacy import Notifications, Privacy, Sealed
from contracts.topics import ACCOUNTS, CODES


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
