"""Who may give whom which rights (L12-L14, U29), and what is told of it."""

import asyncio
from uuid import UUID, uuid4

import pytest

from chassis import scope
from chassis.errors import Refusal
from contracts.rights import GROUPS, Grantor
from services.auth.organisations.errors import NoSuchOrganisation, OrganisationClosed
from services.auth.organisations.store import Organisation
from services.auth.rights import grants
from services.auth.rights.errors import (
    LastSuperuser,
    NoSuchGroup,
    NoSuchUser,
    NotYoursToGrant,
    OwnRights,
    SupportMayNot,
    WrongKindOfOrganisation,
)
from services.auth.rights.grants import OPERATOR, Giver
from services.auth.users import users
from tests.auth.town import COMPANY_USER, PAYROLL, STAFF_SUPERUSER, SUPERUSER, SUPPORT, UNION, Town
from tests.auth.world import Owner


def superuser(account_id: UUID) -> Giver:
    return Giver.of_account(Grantor.SUPERUSER, account_id)


def union(account_id: UUID) -> Giver:
    return Giver.of_account(Grantor.UNION, account_id)


@pytest.mark.rule("L12")
async def test_a_superuser_gives_and_takes_rights_in_the_own_organisation_and_each_is_told_of_with_all_that_is_left(
    town: Town,
) -> None:
    ours = await town.organisation()
    boss, kari = await town.user(ours, "boss@example.no", SUPERUSER), await town.user(ours, "kari@example.no")
    membership = await town.give(superuser(boss), kari, ours, "cases.reporter")
    assert await town.give(superuser(boss), kari, ours, PAYROLL) == membership
    assert await town.give(superuser(boss), kari, ours, PAYROLL) == membership
    assert await town.take(superuser(boss), kari, ours, "cases.reporter") == membership
    assert await town.take(superuser(boss), kari, ours, "cases.reporter") == membership
    told = [fact for fact in await town.told("RightsChanged") if fact["account_id"] == str(kari)]
    assert [(fact["version"], fact["groups"]) for fact in told] == [
        (1, ["cases.reporter"]),
        (2, [PAYROLL, "cases.reporter"]),
        (3, [PAYROLL]),
    ]
    assert {(fact["membership_id"], fact["organisation_id"]) for fact in told} == {(str(membership), str(ours.id))}


@pytest.mark.goal("sec-A10")
async def test_a_right_that_is_taken_away_makes_all_tokens_void_and_one_that_is_given_none(town: Town) -> None:
    ours = await town.organisation()
    boss, kari = await town.user(ours, "boss@example.no", SUPERUSER), await town.user(ours, "kari@example.no")
    browser = await town.world.logged_in("kari@example.no")
    await town.give(superuser(boss), kari, ours, PAYROLL)
    assert await town.told("TokensVoided") == []
    assert (await browser.session()).status_code == 200
    await town.take(superuser(boss), kari, ours, PAYROLL)
    assert [fact["account_id"] for fact in await town.told("TokensVoided")] == [str(kari)]
    assert (await browser.session()).status_code == 401


async def test_who_gave_a_right_is_kept_with_it(town: Town, owner: Owner) -> None:
    ours = await town.organisation()
    boss, kari = await town.user(ours, "boss@example.no", SUPERUSER), await town.user(ours, "kari@example.no")
    await town.give(superuser(boss), kari, ours, PAYROLL)
    await town.give(Giver.of_system("shop"), kari, ours, SUPERUSER)
    rows = await owner.fetch("select group_name, granted_by from auth.grants order by granted_at offset 1")
    assert [tuple(row) for row in rows] == [(PAYROLL, f"account:{boss}"), (SUPERUSER, "system:shop")]


@pytest.mark.rule("L13", "L14")
@pytest.mark.parametrize("other_role", [SUPERUSER, STAFF_SUPERUSER, UNION])
async def test_support_changes_nothing_whatever_else_they_hold_and_wherever(town: Town, other_role: str) -> None:
    ours, centre = await town.organisation(), await town.organisation("Kundesenteret", "operator")
    home = ours if other_role == SUPERUSER else centre
    helper = await town.user(home, "helper@example.no", other_role)
    await town.put(helper, centre, SUPPORT)
    kari = await town.user(home, "kari@example.no", PAYROLL if home is ours else SUPPORT)
    for grantor in (Grantor.SUPERUSER, Grantor.UNION):
        giver = Giver.of_account(grantor, helper)
        for change in (town.give, town.take):
            for group in (PAYROLL, COMPANY_USER):
                with pytest.raises(SupportMayNot):
                    await change(giver, kari, home, group)
    assert await town.groups(kari, home) == (PAYROLL if home is ours else SUPPORT,)


@pytest.mark.rule("U29")
async def test_only_the_union_gives_a_company_and_it_gives_it_to_anybody_in_any_customer(town: Town) -> None:
    company, other = await town.organisation("Bedrift AS"), await town.organisation("Annen AS")
    forbundet = await town.organisation("Forbundet", "operator")
    official = await town.user(forbundet, "forbund@example.no", UNION)
    boss, kari = await town.user(company, "boss@example.no", SUPERUSER), await town.user(other, "kari@example.no")
    colleague = await town.user(company, "ola@example.no")
    with pytest.raises(NotYoursToGrant):
        await town.give(superuser(boss), colleague, company, COMPANY_USER)
    async with town.conn(scope.STAFF) as conn:
        await grants.give(conn, union(official), kari, company.id, COMPANY_USER)
        await grants.give(conn, union(official), boss, company.id, COMPANY_USER)
    assert await town.groups(kari, company) == (COMPANY_USER,)
    assert await town.groups(kari, other) == ()
    with pytest.raises(NotYoursToGrant):
        await town.take(superuser(boss), kari, company, COMPANY_USER)
    async with town.conn(scope.STAFF) as conn:
        with pytest.raises(NotYoursToGrant):
            await grants.give(conn, union(official), kari, company.id, PAYROLL)
        with pytest.raises(WrongKindOfOrganisation):
            await grants.give(conn, union(official), kari, forbundet.id, COMPANY_USER)


@pytest.mark.rule("U29")
async def test_nobody_gives_rights_to_themselves(town: Town) -> None:
    ours, forbundet = await town.organisation(), await town.organisation("Forbundet", "operator")
    boss = await town.user(ours, "boss@example.no", SUPERUSER)
    official = await town.user(forbundet, "forbund@example.no", UNION)
    with pytest.raises(OwnRights):
        await town.give(superuser(boss), boss, ours, PAYROLL)
    with pytest.raises(OwnRights):
        await town.give(union(official), official, ours, COMPANY_USER)


@pytest.mark.rule("L12", "C1")
async def test_a_superuser_gives_rights_to_the_own_people_alone(town: Town) -> None:
    ours, theirs = await town.organisation(), await town.organisation("Annen AS")
    boss, kari = await town.user(ours, "boss@example.no", SUPERUSER), await town.user(theirs, "kari@example.no")
    for unknown in (kari, uuid4()):
        with pytest.raises(NoSuchUser):
            await town.give(superuser(boss), unknown, ours, PAYROLL)


async def test_what_does_not_fit_is_refused_and_leaves_nothing(town: Town, owner: Owner) -> None:
    ours, centre = await town.organisation(), await town.organisation("Kundesenteret", "operator")
    kari = await town.user(ours, "kari@example.no")
    gone = Organisation(uuid4(), "", None, ours.kind, True, 1, 1)
    cases: list[tuple[Organisation, str, type[Refusal]]] = [
        (ours, "cases.everything", NoSuchGroup),
        (ours, SUPPORT, WrongKindOfOrganisation),
        (centre, PAYROLL, WrongKindOfOrganisation),
        (ours, COMPANY_USER, NotYoursToGrant),
        (gone, PAYROLL, NoSuchOrganisation),
    ]
    for organisation, group, refusal in cases:
        with pytest.raises(refusal):
            await town.give(OPERATOR, kari, organisation, group)
    await owner.execute("update auth.organisations set active = false where id = $1", ours.id)
    with pytest.raises(OrganisationClosed):
        await town.give(OPERATOR, kari, ours, PAYROLL)
    assert await owner.fetchval("select count(*) from auth.memberships") == 0


async def test_rights_can_be_taken_away_in_an_organisation_that_is_closed(town: Town, owner: Owner) -> None:
    ours = await town.organisation()
    kari = await town.user(ours, "kari@example.no", PAYROLL)
    await owner.execute("update auth.organisations set active = false")
    await town.take(OPERATOR, kari, ours, PAYROLL)
    assert (await town.told("RightsChanged"))[-1]["groups"] == []


async def test_the_last_superuser_stays_and_of_two_who_remove_each_other_at_once_one_does(town: Town) -> None:
    ours = await town.organisation()
    kari, ola = [await town.user(ours, f"{name}@example.no", SUPERUSER) for name in ("kari", "ola")]
    outcomes = await asyncio.gather(
        town.take(superuser(kari), ola, ours, SUPERUSER),
        town.take(superuser(ola), kari, ours, SUPERUSER),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [LastSuperuser]
    (left,) = [each for each in (kari, ola) if await town.groups(each, ours)]
    with pytest.raises(LastSuperuser):
        await town.take(superuser(left), left, ours, SUPERUSER)
    await town.take(OPERATOR, left, ours, SUPERUSER)


@pytest.mark.goal("sec-P10")
async def test_what_an_organisation_sees_of_memberships_is_its_own(town: Town) -> None:
    ours, theirs = await town.organisation(), await town.organisation("Annen AS")
    for organisation in (ours, theirs):
        await town.user(organisation, f"kari@{organisation.id}.example.no", PAYROLL)
    async with town.conn(scope.organisation(ours.id)) as conn:
        for seen in ("select organisation_id from memberships", "select organisation_id from grants"):
            assert [row[0] for row in await conn.fetch(seen)] == [ours.id]


@pytest.mark.goal("sec-P10")
async def test_looking_past_the_scope_for_one_answer_leaves_the_scope_as_it_was(town: Town) -> None:
    ours, centre = await town.organisation(), await town.organisation("Kundesenteret", "operator")
    helper, kari = await town.user(centre, "helper@example.no", SUPPORT), await town.user(ours, "kari@example.no")
    async with town.conn(scope.organisation(ours.id)) as conn:
        assert await conn.fetchval("select holds_anywhere($1, $2)", helper, [SUPPORT])
        assert not await conn.fetchval("select holds_anywhere($1, $2)", kari, [SUPPORT])
        assert await conn.fetchval("select address_taken('helper@example.no')")
        assert await conn.fetchval("select current_setting('samband.scope')") == str(ours.id)
        assert await conn.fetchval("select count(*) from grants") == 0


async def test_an_erased_person_has_no_rights_anywhere_and_all_are_told_so(town: Town) -> None:
    ours, theirs = await town.organisation(), await town.organisation("Annen AS")
    kari = await town.user(ours, "kari@example.no", PAYROLL)
    await town.put(kari, theirs, COMPANY_USER)
    boss = await town.user(ours, "boss@example.no", SUPERUSER)
    async with town.conn(scope.organisation(ours.id)) as conn:
        await users.erase(conn, superuser(boss), ours.id, kari)
    last = {fact["organisation_id"]: fact for fact in await town.told("RightsChanged")}
    assert [last[str(each.id)]["groups"] for each in (ours, theirs)] == [[], []]
    assert [last[str(each.id)]["version"] for each in (ours, theirs)] == [2, 2]
    assert [fact["account_id"] for fact in await town.told("AccountErased")] == [str(kari)]
    assert [fact["account_id"] for fact in await town.told("TokensVoided")] == [str(kari)]
    assert await town.groups(kari, theirs) == ()


def test_each_group_can_be_given_by_somebody_and_support_by_none_who_serves_customers() -> None:
    assert all(group.granted_by for group in GROUPS)
    assert {group.name for group in grants.grantable(Grantor.UNION, kind="customer")} == {COMPANY_USER}
    assert SUPPORT not in {group.name for group in grants.grantable(Grantor.SUPERUSER, kind="customer")}
