"""Views: what the routes about organisations and users show, and how their refusals are described."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chassis.texts import Language, choose_language
from contracts.rights import BY_NAME
from services.auth.organisations.store import Organisation
from services.auth.people import names, user_names
from services.auth.people.addresses import TypedAddress
from services.auth.people.errors import WrongName, WrongUserName
from services.auth.people.names import FullName
from services.auth.rights.store import ActsFor
from services.auth.users import users
from services.auth.users.store import User

LONGEST_CURSOR, LONGEST_TEXT, MOST_GROUPS = 2_000, 100, 30
EXAMPLE: dict[str, Any] = {
    "address": "kari@example.no",
    "user_name": "kari.nordmann",
    "full_name": "Kari Nordmann",
    "language": "nb",
    "groups": ["cases.payroll"],
}
WHAT_TO_DO: Mapping[Language, str] = {
    Language.NB: "E-posten kom ikke fram. Sjekk stavemåten sammen med brukeren, og rett adressen her.",
    Language.NN: "E-posten kom ikkje fram. Sjekk stavemåten saman med brukaren, og rett adressa her.",
    Language.EN: "The mail did not arrive. Check the spelling with the user, and correct the address here.",
}
USER: dict[str, Any] = {
    "id": "0199a3e2-7c41-7d3a-9c0f-000000000002",
    "address": "kari@example.no",
    "user_name": "kari.nordmann",
    "full_name": "Kari Nordmann",
    "language": "nb",
    "active": True,
    "groups": ["cases.payroll"],
    "mail_trouble": {"smtp_code": 550, "noted_at": "2026-01-31T12:00:00Z", "what_to_do": WHAT_TO_DO[Language.NB]},
    "changed_at": "2026-01-31T12:00:00Z",
}
CURSOR = "WyJuYW1lIiwgIm5vcmRtYW5uLCBrYXJpIl0"
ORGANISATION: dict[str, Any] = {
    "id": "01980a3e-7c41-7d3a-9c0f-000000000001",
    "name": "Eksempel AS",
    "number": "974760673",
}
_GROUP: dict[str, Any] = {"name": "cases.payroll", "title": "Lønn"}
AcceptLanguage = Annotated[str | None, Header(include_in_schema=False)]


def _name(text: str) -> FullName:
    try:
        return names.read_name(text)
    except WrongName:
        raise ValueError("not a full name") from None


def _user_name(text: str) -> str:
    try:
        user_names.key_of(text)
    except WrongUserName:
        if "@" not in text:  # The own address is none, and is left out.
            raise ValueError("not a user name") from None
    return text


TypedName = Annotated[FullName, Field(max_length=names.LONGEST), AfterValidator(_name)]
TypedUserName = Annotated[str, Field(max_length=254), AfterValidator(_user_name)]
Groups = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=MOST_GROUPS)]


class MailTroubleView(BaseModel):
    """The last mail did not arrive."""

    smtp_code: int | None
    noted_at: datetime
    what_to_do: str


class UserView(BaseModel):
    """A user at home in an organisation, with the rights that they have there."""

    model_config = ConfigDict(json_schema_extra={"example": USER})
    id: UUID
    address: str
    user_name: Annotated[str | None, Field(description="null: logs in with the address (L1)")]
    full_name: str | None
    language: Language
    active: bool
    groups: list[str]
    mail_trouble: MailTroubleView | None
    changed_at: datetime


class UserPage(BaseModel):
    """Some users, and where to go on."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [USER], "next_cursor": CURSOR}})
    items: list[UserView]
    next_cursor: Annotated[str | None, Field(description="`cursor` of the next page; null at the end")]


class NewUserBody(BaseModel):
    """A user to be added to the organisation that the caller acts for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE})
    address: TypedAddress
    user_name: TypedUserName | None = None
    full_name: TypedName | None = None
    language: Language = Language.NB
    groups: Groups = []


class UserChanges(BaseModel):
    """What is to be changed; what is not named stays as it is. null takes a user name or a full name away."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"address": "kari.n@example.no"}})
    address: TypedAddress = Field(default=None)  # type: ignore[assignment]
    user_name: TypedUserName | None = None
    full_name: TypedName | None = None
    language: Language = Field(default=None)  # type: ignore[assignment]
    active: bool = Field(default=None)  # type: ignore[assignment]

    def named(self) -> dict[str, Any]:
        """Give what was named, and nothing else."""
        return {name: getattr(self, name) for name in users.EDITABLE if name in self.model_fields_set}


class RightsGroupView(BaseModel):
    """Rights that go together."""

    name: str
    title: str
    grantable: Annotated[bool, Field(description="whether you may give it to users of your organisation")]


class RightsGroupList(BaseModel):
    """The rights that there are."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [{**_GROUP, "grantable": True}]}})
    items: list[RightsGroupView]


class GroupTitle(BaseModel):
    """Rights that go together, by the name that people know."""

    name: str
    title: str


class OrganisationView(BaseModel):
    """An organisation as public registers show it."""

    model_config = ConfigDict(json_schema_extra={"example": ORGANISATION})
    id: UUID
    name: str
    number: str | None


class ActsForView(OrganisationView):
    """An organisation that the caller may act for, and what they may do there."""

    model_config = ConfigDict(json_schema_extra={"example": {**ORGANISATION, "groups": [_GROUP]}})
    groups: list[GroupTitle]


class Me(BaseModel):
    """The caller."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "account_id": USER["id"],
                "address": "kari@example.no",
                "user_name": "kari.nordmann",
                "full_name": "Kari Nordmann",
                "language": "nb",
                "home": ORGANISATION,
                "organisations": [{**ORGANISATION, "groups": [_GROUP]}],
            }
        }
    )
    account_id: UUID
    address: str
    user_name: str | None
    full_name: str | None
    language: Language
    home: OrganisationView | None
    organisations: list[ActsForView]


def user_view(user: User, language: Language) -> UserView:
    trouble = user.trouble
    return UserView(
        id=user.id,
        address=user.address,
        user_name=user.user_name,
        full_name=user.full_name,
        language=Language(user.language),
        active=user.active,
        groups=list(user.groups),
        mail_trouble=trouble
        and MailTroubleView(smtp_code=trouble.smtp_code, noted_at=trouble.noted_at, what_to_do=WHAT_TO_DO[language]),
        changed_at=user.changed_at,
    )


def acts_for_view(found: ActsFor, language: Language) -> ActsForView:
    groups = [GroupTitle(name=name, title=title_of(name, language)) for name in found.groups]
    return ActsForView(id=found.organisation_id, name=found.name, number=found.number, groups=groups)


def organisation_view(found: Organisation) -> OrganisationView:
    return OrganisationView(id=found.id, name=found.name, number=found.number)


def title_of(group: str, language: Language) -> str:
    """Say what people call a group; one that is no longer declared by its name."""
    return BY_NAME[group].title[language.value] if group in BY_NAME else group


def language_for(accept_language: str | None) -> Language:
    """Choose the language that the caller asks for."""
    return choose_language(accept_language, Language.NB)
