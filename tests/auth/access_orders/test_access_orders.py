"""Somebody orders access, and whoever may give it decides (C3, U29)."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.sealing import Place
from contracts.auth import AccessDecided
from services.auth.access_orders import access_orders
from services.auth.organisations import organisations
from services.auth.organisations.numbers import Number
from services.auth.organisations.store import Organisation
from tests.auth.town import COMPANY_USER, PAYROLL, SUPERUSER, SUPPORT, UNION, Acting, Town
from tests.auth.world import Owner

NUMBER = "974760673"
ORDER = {"address": "Kari@example.no", "full_name": "Kari Nordmann", "groups": [PAYROLL], "message": "Hei!\nNy her."}


@pytest.fixture
async def ours(town: Town) -> Organisation:
    async with town.conn() as conn:
        return await organisations.add(conn, "Eksempel AS", number=Number(NUMBER))


@pytest.fixture
async def boss(town: Town, ours: Organisation) -> Acting:
    return town.acting(await town.user(ours, "boss@example.no", SUPERUSER), ours)


@pytest.fixture
async def official(town: Town) -> Acting:
    forbundet = await town.organisation("Forbundet", "operator")
    return town.acting(await town.user(forbundet, "forbund@example.no", UNION), forbundet)


def stranger(town: Town) -> Acting:
    return town.acting(uuid4(), None)


async def ordered(town: Town, **order: Any) -> Any:
    """Order access as somebody who has not signed in, and let the worker look at it."""
    answer = await stranger(town).send("POST", "/access-orders", json={**ORDER, **order})
    assert answer.status_code == 202, answer.text
    await settle(town)
    return answer


async def settle(town: Town) -> None:
    more = True
    while more:
        async with town.conn() as conn:
            more = await access_orders.tell_next(conn)


async def waiting(decider: Acting, path: str = "/access-orders") -> list[dict[str, Any]]:
    answer = await decider.get(path)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


@pytest.mark.rule("C3", "C1")
async def test_an_order_reaches_the_superusers_who_let_the_person_in_with_an_account_and_the_rights(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    await ordered(town, organisation_number="974 760 673")
    (told,) = await town.told("AccessOrdered")
    assert (told["audience"], told["organisation_id"]) == ([str(boss.account_id)], str(ours.id))
    (order,) = await waiting(boss)
    assert (order["address"], order["full_name"], order["groups"], order["message"]) == (
        "kari@example.no",
        "Kari Nordmann",
        [PAYROLL],
        "Hei!\nNy her.",
    )
    decided = await boss.send("POST", f"/access-orders/{order['id']}/decisions", json={"granted": True})
    assert decided.status_code == 201, decided.text
    kari = UUID(decided.json()["account_id"])
    assert await town.groups(kari, ours) == (PAYROLL,)
    assert (await boss.get(f"/users/{kari}")).json()["full_name"] == "Kari Nordmann"
    assert await waiting(boss) == []


@pytest.mark.goal("sec-P4")
async def test_what_is_told_of_an_order_names_nobody_but_by_id_and_the_address_is_sealed(
    town: Town, ours: Organisation, boss: Acting, owner: Owner
) -> None:
    await ordered(town, organisation_id=str(ours.id))
    (order,) = await waiting(boss)
    await boss.send("POST", f"/access-orders/{order['id']}/decisions", json={"granted": False, "reason": "Ukjent"})
    row = await owner.fetchrow("select message_id, payload from auth.outbox where type = $1", AccessDecided.type)
    assert row is not None
    told = AccessDecided.model_validate_json(row["payload"])
    assert (told.granted, told.account_id) == (False, None)
    place = Place(str(row["message_id"]), AccessDecided.type, "address")
    assert town.world.reader.open(told.address.token, place) == "kari@example.no"
    everything = str(await owner.fetch("select payload from auth.outbox where type like '%Access%'"))
    assert not [word for word in ("kari", "Nordmann", "Ukjent", "Ny her") if word in everything]
    assert len(await town.told("AccountChanged")) == 1


@pytest.mark.goal("sec-A9")
async def test_the_answer_is_alike_whoever_and_whatever_is_named_and_nothing_is_looked_up_before_it(
    town: Town, ours: Organisation, boss: Acting, owner: Owner
) -> None:
    centre = await town.organisation("Kundesenteret", "operator")
    await town.user(ours, "known@example.no")
    answers = []
    for address in ("known@example.no", "unknown@example.no"):
        for organisation in (ours.id, centre.id, uuid4()):
            body = {**ORDER, "address": address, "organisation_id": str(organisation)}
            answers.append(await stranger(town).send("POST", "/access-orders", json=body))
    assert {(answer.status_code, tuple(answer.json()), frozenset(answer.headers)) for answer in answers} == {
        (202, ("ordered_at",), frozenset(answers[0].headers))
    }
    assert await town.told("AccessOrdered") == []
    await settle(town)
    assert len(await town.told("AccessOrdered")) == len(await waiting(boss)) == 2
    assert await owner.fetchval("select count(*) from auth.access_orders where organisation_id is null") == 4


@pytest.mark.rule("U29")
async def test_the_union_decides_about_companies_and_the_superuser_about_the_rest_of_one_order(
    town: Town, ours: Organisation, boss: Acting, official: Acting
) -> None:
    await ordered(town, organisation_id=str(ours.id), groups=[COMPANY_USER, PAYROLL])
    assert [fact["audience"] for fact in await town.told("AccessOrdered")] == [
        [str(official.account_id)],
        [str(boss.account_id)],
    ]
    (theirs,), (own,) = await waiting(official, "/union/access-orders"), await waiting(boss)
    assert (theirs["groups"], own["groups"]) == ([COMPANY_USER], [PAYROLL])
    for other, order, path in ((official, own, "/union/access-orders"), (boss, theirs, "/access-orders")):
        refused = await other.send("POST", f"{path}/{order['id']}/decisions", json={"granted": True})
        assert refused.status_code == 404
    refused = await boss.send(
        "POST", f"/access-orders/{own['id']}/decisions", json={"granted": True, "groups": [COMPANY_USER]}
    )
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:samband:auth:not-yours-to-grant")
    answer = await official.send("POST", f"/union/access-orders/{theirs['id']}/decisions", json={"granted": True})
    assert await town.groups(UUID(answer.json()["account_id"]), ours) == (COMPANY_USER,)


@pytest.mark.rule("L18")
async def test_an_address_of_another_organisations_user_is_refused_and_the_order_goes_on_waiting(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    await town.user(await town.organisation("Annen AS"), "kari@example.no")
    await ordered(town, organisation_id=str(ours.id))
    (order,) = await waiting(boss)
    answer = await boss.send("POST", f"/access-orders/{order['id']}/decisions", json={"granted": True})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:samband:auth:address-taken")
    assert await waiting(boss) == [order]


async def test_who_has_an_account_already_is_given_the_rights(town: Town, ours: Organisation, boss: Acting) -> None:
    kari = await town.user(ours, "kari@example.no")
    await ordered(town, organisation_id=str(ours.id))
    (order,) = await waiting(boss)
    decision = {"granted": True, "groups": ["cases.reporter"]}
    answer = await boss.send("POST", f"/access-orders/{order['id']}/decisions", json=decision)
    assert answer.json() == {"account_id": str(kari)}
    assert await town.groups(kari, ours) == ("cases.reporter",)


async def test_an_order_is_decided_once_whoever_tries_at_the_same_time(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    await ordered(town, organisation_id=str(ours.id))
    (order,) = await waiting(boss)
    path = f"/access-orders/{order['id']}/decisions"
    answers = await asyncio.gather(
        *(boss.send("POST", path, json={"granted": granted}) for granted in (True, False, True, False))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 404, 404, 404]
    assert len(await town.told("AccessDecided")) == 1


async def test_nobody_gives_access_to_themselves_by_ordering_it(town: Town, ours: Organisation, boss: Acting) -> None:
    await ordered(town, organisation_id=str(ours.id), address="boss@example.no")
    (order,) = await waiting(boss)
    answer = await boss.send("POST", f"/access-orders/{order['id']}/decisions", json={"granted": True})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:samband:auth:own-rights")


async def test_a_network_orders_so_often_an_hour_and_then_no_more(town: Town, ours: Organisation, owner: Owner) -> None:
    body = {**ORDER, "organisation_id": str(ours.id)}
    most = town.world.settings.access_orders_per_hour
    answers = [await stranger(town).send("POST", "/access-orders", json=body) for _ in range(most + 1)]
    assert [answer.status_code for answer in answers] == [202] * most + [429]
    assert answers[-1].headers["retry-after"] == "3600"
    await owner.execute("update auth.access_orders set ordered_at = ordered_at - interval '1 hour'")
    assert (await stranger(town).send("POST", "/access-orders", json=body)).status_code == 202


async def test_a_subscriber_orders_no_more_often_at_once_or_from_all_the_addresses_that_he_has(
    town: Town, ours: Organisation, owner: Owner
) -> None:
    body = {**ORDER, "organisation_id": str(ours.id)}
    most = town.world.settings.access_orders_per_hour
    sources = [f"2001:db8:0:1::{number:x}" for number in range(1, most + 6)]
    answers = await asyncio.gather(
        *(replace(stranger(town), source=source).send("POST", "/access-orders", json=body) for source in sources)
    )
    assert sorted(answer.status_code for answer in answers) == [202] * most + [429] * 5
    elsewhere = replace(stranger(town), source="2001:db8:0:2::1")
    assert (await elsewhere.send("POST", "/access-orders", json=body)).status_code == 202


async def test_what_somebody_ordered_goes_with_their_account(
    town: Town, ours: Organisation, boss: Acting, owner: Owner
) -> None:
    await ordered(town, organisation_id=str(ours.id))
    (order,) = await waiting(boss)
    answer = await boss.send("POST", f"/access-orders/{order['id']}/decisions", json={"granted": True})
    assert await owner.fetchval("select count(*) from auth.access_orders") == 1
    assert (await boss.send("DELETE", f"/users/{answer.json()['account_id']}")).status_code == 204
    assert await owner.fetchval("select count(*) from auth.access_orders") == 0


BAD: dict[str, list[Any]] = {
    "address": [None, "kari", 7],
    "full_name": [None, "", "\u202ekari", "x" * 201],
    "organisation_number": ["974760674", "1", "x" * 30, 974760673],
    "groups": [[], None, ["x" * 101], [7]],
    "message": ["x" * 1_001, "a\0b", None],
    "language": ["sv", None],
    "more": ["x"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
async def test_a_field_of_an_order_that_is_wrong_is_named(town: Town, owner: Owner, field: str, value: Any) -> None:
    body = {**ORDER, "organisation_number": NUMBER, field: value}
    answer = await stranger(town).send("POST", "/access-orders", json=body)
    assert answer.status_code == 422, answer.text
    assert await owner.fetchval("select count(*) from auth.access_orders") == 0


@pytest.mark.parametrize("names", [{}, {"organisation_number": NUMBER, "organisation_id": str(uuid4())}])
async def test_an_order_names_its_organisation_in_exactly_one_way(town: Town, names: dict[str, str]) -> None:
    assert (await stranger(town).send("POST", "/access-orders", json={**ORDER, **names})).status_code == 422


@pytest.mark.parametrize("group", ["no.such", SUPPORT, UNION, "cases.caseworker"])
async def test_what_nobody_can_order_is_refused(town: Town, group: str) -> None:
    body = {**ORDER, "organisation_number": NUMBER, "groups": [PAYROLL, group]}
    answer = await stranger(town).send("POST", "/access-orders", json=body)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:samband:auth:no-such-group")


@pytest.mark.rule("L13")
async def test_support_decides_nothing(town: Town, ours: Organisation, boss: Acting) -> None:
    await town.put(boss.account_id, await town.organisation("Kundesenteret", "operator"), SUPPORT)
    await ordered(town, organisation_id=str(ours.id))
    (order,) = await waiting(boss)
    answer = await boss.send("POST", f"/access-orders/{order['id']}/decisions", json={"granted": True})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:samband:auth:support-may-not")
