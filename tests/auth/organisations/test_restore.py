"""Organisations and rights after a restore, and told of again (rel-R11)."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord

from chassis.arrival import Arrival
from chassis.ghosts import Ghost
from contracts.auth import OrganisationChanged, RightsChanged
from contracts.message import Message
from contracts.rights import OrganisationKind
from services.auth import restore
from services.auth.organisations import organisations
from services.auth.rights import grants
from tests.auth.town import PAYROLL, SUPERUSER, Town
from tests.support.lanes import headers

pytestmark = pytest.mark.goal("rel-R11")


def ghost(told: Message, value: bytes | None = None) -> Ghost:
    found = headers(told.type, {"ce_subject": told.key.encode()})
    written = told.model_dump_json().encode() if value is None else value
    record = ConsumerRecord(told.topic.name, 0, 7, 0, 0, told.key.encode(), written, None, 0, 0, tuple(found))
    return Ghost(Arrival.of(record), datetime.now(UTC))


def rights(membership_id: UUID, *groups: str, **who: UUID) -> RightsChanged:
    names: dict[str, Any] = {"account_id": uuid4(), "organisation_id": uuid4(), **who}
    return RightsChanged(membership_id=membership_id, epoch=1, version=5, groups=groups, **names)


async def settled(town: Town, found: Ghost) -> str | None:
    async with town.conn() as conn:
        return await restore.settle(conn, found)


async def test_a_membership_that_only_the_lost_time_knew_is_told_of_as_without_rights_once(town: Town) -> None:
    lost = rights(uuid4(), SUPERUSER)
    assert await settled(town, ghost(lost)) == "readers told that the membership has no rights"
    assert await settled(town, ghost(lost)) is None
    (told,) = await town.told("RightsChanged")
    assert told == json.loads(lost.model_dump_json()) | {"version": 1, "groups": []}


async def test_a_lost_membership_does_not_stand_in_the_way_of_a_new_one(town: Town) -> None:
    ours = await town.organisation()
    kari = await town.user(ours, "kari@example.no")
    await settled(town, ghost(rights(uuid4(), SUPERUSER, account_id=kari, organisation_id=ours.id)))
    assert await town.groups(kari, ours) == ()
    await town.give(grants.OPERATOR, kari, ours, PAYROLL)
    assert await town.groups(kari, ours) == (PAYROLL,)


async def test_a_right_that_was_taken_away_in_the_lost_time_is_taken_away_again(town: Town) -> None:
    ours = await town.organisation()
    kari = await town.user(ours, "kari@example.no", PAYROLL, SUPERUSER)
    async with town.conn() as conn:
        (known,) = [UUID(each) for each in await grants.republish(conn, None, 5)]
    lost = rights(known, PAYROLL, account_id=kari, organisation_id=ours.id)
    assert await settled(town, ghost(lost)) == "rights taken away again"
    assert await settled(town, ghost(lost)) is None
    assert await town.groups(kari, ours) == (PAYROLL,)
    assert (await town.told("RightsChanged"))[-1]["groups"] == [PAYROLL]


async def test_an_organisation_that_only_the_lost_time_knew_is_told_of_as_closed_once(town: Town) -> None:
    here = await town.organisation()
    lost = OrganisationChanged(
        organisation_id=uuid4(), epoch=1, version=3, active=True, kind=OrganisationKind.CUSTOMER, name="Ny AS"
    )
    known = lost.model_copy(update={"organisation_id": here.id})
    assert await settled(town, ghost(known)) is None
    assert await settled(town, ghost(lost)) == "readers told that the organisation is closed"
    assert await settled(town, ghost(lost)) is None
    told = await town.told("OrganisationChanged")
    assert [(fact["organisation_id"], fact["active"]) for fact in told[1:]] == [(str(lost.organisation_id), False)]


async def test_a_ghost_that_no_service_of_ours_can_have_written_is_left_alone(town: Town) -> None:
    organisation = OrganisationChanged(
        organisation_id=uuid4(), epoch=1, version=3, active=True, kind=OrganisationKind.CUSTOMER, name="Ny AS"
    )
    assert await settled(town, ghost(rights(uuid4()), b"{}")) is None
    assert await settled(town, ghost(organisation, b"no JSON")) is None


async def test_all_of_them_are_told_of_again_tombstones_too(town: Town) -> None:
    ours = await town.organisation()
    kari = await town.user(ours, "kari@example.no", PAYROLL)
    await town.take(grants.OPERATOR, kari, ours, PAYROLL)
    before = [(await town.told(kind))[-1] for kind in ("OrganisationChanged", "RightsChanged")]
    async with town.conn() as conn:
        assert await organisations.republish(conn, None, 5) == [str(ours.id)]
        assert await organisations.republish(conn, str(ours.id), 5) == []
        (known,) = await grants.republish(conn, None, 5)
        assert await grants.republish(conn, known, 5) == []
    assert [(await town.told(kind))[-1] for kind in ("OrganisationChanged", "RightsChanged")] == before
