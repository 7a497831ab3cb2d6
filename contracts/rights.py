"""Rights: which groups of rights each service knows, who may grant them, and which terms come before them.

A right is named `<service>.<verb>-<noun>`; an access token for a service carries that service's rights alone. Rights are
never granted one by one: a grant gives an account a group in one organisation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

Right = NewType("Right", str)


class Grantor(StrEnum):
    """Who may give a group to somebody; support never may (L13, L14)."""

    SUPERUSER = "superuser"
    """A superbruker, in the own organisation."""
    UNION = "union"
    """Whoever holds `auth.manage-company-users`, in every customer's organisation (U29)."""
    BUYER = "buyer"
    """The shop, for what somebody has bought, by a signed request."""
    OPERATOR = "operator"
    """Whoever runs the platform, by a command."""


class OrganisationKind(StrEnum):
    """Which side of the counter an organisation is on."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    """The union, the customer centre, the platform's owner: those who serve customers."""


@dataclass(frozen=True, slots=True)
class RightsGroup:
    """A named set of rights. `title` is what people call it, by language."""

    name: str
    title: Mapping[str, str]
    rights: frozenset[Right]
    granted_by: frozenset[Grantor]
    kind: OrganisationKind = OrganisationKind.CUSTOMER

    @property
    def service(self) -> str:
        """Name the service that declares it."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms that come before everything of one service; their text and version are data of `auth` (U10, U13)."""

    name: str

    @property
    def service(self) -> str:
        return self.name.partition(".")[0]


MANAGE_USERS = Right("auth.manage-users")
SEE_USERS = Right("auth.see-users")
SUPPORT = Right("auth.support")
"""Whoever holds this edits no user and no right, whatever else they hold (L13, L14)."""
READ_PAYROLL_CASES = Right("cases.read-payroll-cases")
READ_ACCOUNTING_CASES = Right("cases.read-accounting-cases")
HANDLE_CASES = Right("cases.handle-cases")
REPORT_CASES = Right("cases.report-cases")
USE_UNION_PORTAL = Right("unionfees.use-portal")
GRANT_COMPANY_ACCESS = Right("unionfees.grant-access")
MANAGE_COMPANY_USERS = Right("auth.manage-company-users")
"""The same towards `auth`, which is asked to do it: a token for a service carries that service's rights alone (U29)."""
LEAD_RECRUITMENT = Right("recruitment.lead-recruitments")
SHOW_RECRUITMENT_CASE = Right("recruitment.show-case")
"""KBR - Vise sak (R19)."""
LIST_RECRUITMENT_CASES = Right("recruitment.list-cases")
"""KBR - Se sakslisten (R19)."""
CONFIDENTIALITY = Terms("unionfees.confidentiality")
"""The Taushetserklæring (U10-U15)."""

_BY_CUSTOMER = frozenset({Grantor.SUPERUSER, Grantor.OPERATOR})
_BY_OPERATOR = frozenset({Grantor.SUPERUSER, Grantor.OPERATOR})


def _titles(nb: str, nn: str, en: str) -> Mapping[str, str]:
    return {"nb": nb, "nn": nn, "en": en}


GROUPS: tuple[RightsGroup, ...] = (
    RightsGroup(
        "auth.superuser",
        _titles("Superbruker", "Superbrukar", "Superuser"),
        frozenset({MANAGE_USERS, SEE_USERS}),
        frozenset({Grantor.SUPERUSER, Grantor.BUYER, Grantor.OPERATOR}),
    ),
    RightsGroup(
        "auth.staff-superuser",
        _titles("Superbruker hos forvalter", "Superbrukar hos forvaltar", "Superuser of the operator"),
        frozenset({MANAGE_USERS, SEE_USERS}),
        _BY_OPERATOR,
        OrganisationKind.OPERATOR,
    ),
    RightsGroup(
        "auth.support",
        _titles("Brukerstøtte", "Brukarstøtte", "Support"),
        frozenset({SUPPORT, SEE_USERS}),
        _BY_OPERATOR,
        OrganisationKind.OPERATOR,
    ),
    RightsGroup(
        "cases.reporter",
        _titles("Melder av saker", "Meldar av saker", "Reporter of cases"),
        frozenset({REPORT_CASES}),
        _BY_CUSTOMER,
    ),
    RightsGroup(
        "cases.payroll",
        _titles("Fagbruker lønn", "Fagbrukar løn", "Payroll specialist"),
        frozenset({REPORT_CASES, READ_PAYROLL_CASES}),
        _BY_CUSTOMER,
    ),
    RightsGroup(
        "cases.accounting",
        _titles("Fagbruker regnskap", "Fagbrukar rekneskap", "Accounting specialist"),
        frozenset({REPORT_CASES, READ_ACCOUNTING_CASES}),
        _BY_CUSTOMER,
    ),
    RightsGroup(
        "cases.caseworker",
        _titles("Saksbehandler", "Saksbehandlar", "Caseworker"),
        frozenset({HANDLE_CASES}),
        _BY_OPERATOR,
        OrganisationKind.OPERATOR,
    ),
    RightsGroup(
        "unionfees.company-user",
        _titles("Bruker i trekklisteportalen", "Brukar i trekklisteportalen", "Company user"),
        frozenset({USE_UNION_PORTAL}),
        frozenset({Grantor.UNION}),
    ),
    RightsGroup(
        "unionfees.union",
        _titles("Forbundet", "Forbundet", "Central union"),
        frozenset({GRANT_COMPANY_ACCESS, MANAGE_COMPANY_USERS}),
        _BY_OPERATOR,
        OrganisationKind.OPERATOR,
    ),
    RightsGroup(
        "recruitment.lead",
        _titles("Ansvarlig rekrutterer", "Ansvarleg rekrutterar", "Lead recruiter"),
        frozenset({LEAD_RECRUITMENT, SHOW_RECRUITMENT_CASE, LIST_RECRUITMENT_CASES}),
        _BY_CUSTOMER,
    ),
    RightsGroup(
        "recruitment.show-case",
        _titles("KBR - Vise sak", "KBR - Vise sak", "KBR - Show case"),
        frozenset({SHOW_RECRUITMENT_CASE}),
        _BY_CUSTOMER,
    ),
    RightsGroup(
        "recruitment.list-cases",
        _titles("KBR - Se sakslisten", "KBR - Sjå sakslista", "KBR - See the list of cases"),
        frozenset({LIST_RECRUITMENT_CASES}),
        _BY_CUSTOMER,
    ),
)
BY_NAME: Mapping[str, RightsGroup] = {group.name: group for group in GROUPS}
TERMS: tuple[Terms, ...] = (CONFIDENTIALITY,)


def rights_of(groups: Iterable[str], *, service: str | None = None) -> frozenset[Right]:
    """Give the rights that groups hold together, of one service or of all; an unknown group holds none."""
    held = (right for name in groups if name in BY_NAME for right in BY_NAME[name].rights)
    return frozenset(right for right in held if service is None or right.partition(".")[0] == service)


def terms_of(service: str) -> tuple[str, ...]:
    """Name the terms that come before a service."""
    return tuple(terms.name for terms in TERMS if terms.service == service)
