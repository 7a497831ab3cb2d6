"""Rights: what services declare hangs together."""

import pytest

from contracts import rights
from contracts.rights import GROUPS, SUPPORT, Grantor, OrganisationKind, RightsGroup


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_group_is_named_after_its_service_and_called_something_in_every_language(group: RightsGroup) -> None:
    assert rights.BY_NAME[group.name] is group
    assert group.rights
    assert set(group.title) == {"nb", "nn", "en"}
    assert any(right.startswith(f"{group.service}.") for right in group.rights)


def test_names_are_given_once() -> None:
    assert len(rights.BY_NAME) == len(GROUPS)


@pytest.mark.rule("U29")
def test_the_union_alone_grants_a_company_its_access() -> None:
    assert rights.BY_NAME["unionfees.company-user"].granted_by == {Grantor.UNION}


@pytest.mark.rule("L13")
def test_whoever_is_support_is_known_as_such_wherever_users_are_edited() -> None:
    (support,) = (group for group in GROUPS if SUPPORT in group.rights)
    assert support.kind is OrganisationKind.OPERATOR
    assert rights.MANAGE_USERS not in support.rights


def test_a_token_for_a_service_needs_its_rights_alone() -> None:
    held = rights.rights_of(["cases.payroll", "auth.superuser", "no.such-group"], service="cases")
    assert held == {rights.REPORT_CASES, rights.READ_PAYROLL_CASES}
    assert rights.rights_of(["cases.payroll", "auth.superuser"]) == held | {rights.MANAGE_USERS, rights.SEE_USERS}


def test_terms_come_before_a_service() -> None:
    assert rights.terms_of("unionfees") == ("unionfees.confidentiality",)
    assert rights.terms_of("cases") == ()
