"""What other systems ask for about organisations, rights and people (signed requests)."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis import scope
from chassis.errors import Refusal
from chassis.requests import Caller
from contracts.auth import DeactivateAccount, GrantRight, RegisterAccount, RegisterOrganisation, RevokeRight
from contracts.message import Message
from contracts.privacy import Sealed
from services.auth import consumers
from services.auth.organisations.errors import NoSuchOrganisation, NotACustomer, NumberTaken, WrongNumber
from services.auth.people.errors import AddressTaken, NoSuchAccount, UserNameTaken, WrongUserName
from services.auth.rights.errors import NoSuchUser, NotYoursToGrant
from tests.auth.town import PAYROLL, SUPERUSER, Town
from tests.auth.world import Owner

AnyRequest = RegisterAccount | RegisterOrganisation | GrantRight | RevokeRight | DeactivateAccount
HANDLERS: dict[type[Message], Any] = {
    RegisterAccount: consumers.register_account,
    RegisterOrganisation: consumers.register_organisation,
    GrantRight: consumers.grant_right,
    RevokeRight: consumers.revoke_right,
    DeactivateAccount: consumers.deactivate_account,
}


async def ask(town: Town, request: AnyRequest) -> UUID:
    """Act on a request as the chassis does, which has proven it: in the scope of its organisation."""
    caller = Caller("shop", uuid4(), request.organisation_id)
    async with town.conn(scope.organisation(request.organisation_id)) as conn:
        given: UUID = await HANDLERS[type(request)](conn, request, caller)
        return given


def account(organisation_id: UUID, address: str = "kari@example.no", **more: str) -> RegisterAccount:
    sealed: dict[str, Any] = {
        name: Sealed(text) for name, text in {"address": address, "language": "nn", **more}.items()
    }
    return RegisterAccount(registration_id=uuid4(), organisation_id=organisation_id, **sealed)


async def test_an_organisation_is_registered_under_the_senders_id_and_corrected_by_a_second_request(
    town: Town,
) -> None:
    known = uuid4()
    first = RegisterOrganisation(organisation_id=known, name=" Eksempel  AS ", number="974760673")
    assert await ask(town, first) == known
    assert await ask(town, first) == known
    assert await ask(town, first.model_copy(update={"name": "Eksempel ASA", "number": None})) == known
    told = await town.told("OrganisationChanged")
    assert [(fact["name"], fact["number"], fact["version"]) for fact in told] == [
        ("Eksempel AS", "974760673", 1),
        ("Eksempel ASA", None, 2),
    ]


async def test_what_is_wrong_with_an_organisation_is_refused(town: Town) -> None:
    ours, centre = await town.organisation(), await town.organisation("Kundesenteret", "operator")
    await ask(town, RegisterOrganisation(organisation_id=uuid4(), name="Annen AS", number="974760673"))
    cases: list[tuple[UUID, str, type[Refusal]]] = [
        (centre.id, "974760673", NotACustomer),
        (ours.id, "974760673", NumberTaken),
        (uuid4(), "974760673", NumberTaken),
        (ours.id, "974760674", WrongNumber),
    ]
    for organisation_id, number, refusal in cases:
        with pytest.raises(refusal):
            await ask(town, RegisterOrganisation(organisation_id=organisation_id, name="X", number=number))


@pytest.mark.rule("L1", "L12")
async def test_an_account_is_at_home_in_the_organisation_that_the_request_names(town: Town, owner: Owner) -> None:
    ours = await town.organisation()
    given = await ask(town, account(ours.id, user_name="Kari N", full_name="Kari  Nordmann"))
    row = await owner.fetchrow("select organisation_id, user_name, full_name, language from auth.accounts")
    assert tuple(row or ()) == (ours.id, "Kari N", "Kari Nordmann", "nn")
    assert [fact["account_id"] for fact in await town.told("AccountChanged")] == [str(given)]


@pytest.mark.rule("L15", "L16", "L18")
async def test_an_account_that_cannot_be_is_refused_with_its_reason(town: Town) -> None:
    ours, theirs = await town.organisation(), await town.organisation("Annen AS")
    await town.user(theirs, "kari@example.no", user_name="kari")
    cases: list[tuple[RegisterAccount, type[Refusal]]] = [
        (account(uuid4()), NoSuchOrganisation),
        (account(ours.id), AddressTaken),
        (account(ours.id, "ola@example.no", user_name="KARI"), UserNameTaken),
        (account(ours.id, "ola@example.no", user_name="ola@else.example.no"), WrongUserName),
    ]
    for request, refusal in cases:
        with pytest.raises(refusal):
            await ask(town, request)
    assert len(await town.told("AccountChanged")) == 1


async def test_a_buyer_gives_and_takes_what_is_sold_to_the_organisations_own_people(town: Town) -> None:
    ours, theirs = await town.organisation(), await town.organisation("Annen AS")
    kari, ola = await town.user(ours, "kari@example.no"), await town.user(theirs, "ola@example.no")
    membership = await ask(town, GrantRight(account_id=kari, organisation_id=ours.id, group=SUPERUSER))
    assert await town.groups(kari, ours) == (SUPERUSER,)
    with pytest.raises(NotYoursToGrant):
        await ask(town, GrantRight(account_id=kari, organisation_id=ours.id, group=PAYROLL))
    with pytest.raises(NoSuchUser):
        await ask(town, GrantRight(account_id=ola, organisation_id=ours.id, group=SUPERUSER))
    assert await ask(town, RevokeRight(account_id=kari, organisation_id=ours.id, group=SUPERUSER)) == membership
    assert await town.groups(kari, ours) == ()


@pytest.mark.goal("sec-A10")
async def test_an_account_is_switched_off_by_its_own_organisation_alone_and_logged_out_at_once(town: Town) -> None:
    ours, theirs = await town.organisation(), await town.organisation("Annen AS")
    kari = await town.user(ours, "kari@example.no")
    browser = await town.world.logged_in("kari@example.no")
    with pytest.raises(NoSuchAccount):
        await ask(town, DeactivateAccount(account_id=kari, organisation_id=theirs.id))
    assert (await browser.session()).status_code == 200
    for _ in range(2):
        assert await ask(town, DeactivateAccount(account_id=kari, organisation_id=ours.id)) == kari
    assert (await browser.session()).status_code == 401
    assert [fact["active"] for fact in await town.told("AccountChanged")] == [True, False]
    assert len(await town.told("TokensVoided")) == 1
