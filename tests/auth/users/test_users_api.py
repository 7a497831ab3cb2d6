"""Superusers see and edit the users of the organisation that they act for (L12-L19)."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.auth import cursors
from services.auth.organisations.store import Organisation
from services.auth.rights.grants import OPERATOR
from tests.auth.town import PAYROLL, STAFF_SUPERUSER, SUPERUSER, SUPPORT, Acting, Town
from tests.auth.world import PASSWORD, Owner

NAMES = ["Åse Berg", "Anne Dal", "Øyvind Fjell", "Ærlig Haug", "Zoran Li"]
IN_ORDER = ["Anne Dal", "Zoran Li", "Ærlig Haug", "Øyvind Fjell", "Åse Berg"]


@pytest.fixture
async def ours(town: Town) -> Organisation:
    return await town.organisation()


@pytest.fixture
async def boss(town: Town, ours: Organisation) -> Acting:
    return town.acting(await town.user(ours, "boss@example.no", SUPERUSER), ours)


async def crowd(town: Town, ours: Organisation) -> dict[str, UUID]:
    return {name: await town.user(ours, f"p{n}@example.no", name=name) for n, name in enumerate(NAMES)}


async def pages(boss: Acting, **query: Any) -> list[dict[str, Any]]:
    """Read a whole list, two users at a time."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await boss.get("/users", limit=2, **query, **cursor)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return items
        assert len(answer.json()["items"]) == 2
        cursor = {"cursor": answer.json()["next_cursor"]}


@pytest.mark.rule("L12")
async def test_a_superuser_adds_a_user_with_rights_who_can_then_log_in(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    body = {"address": "Kari@Example.no", "user_name": "Kari N", "full_name": " Kari  Nordmann ", "language": "nn"}
    answer = await boss.send("POST", "/users", json={**body, "groups": [PAYROLL, PAYROLL]})
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert shown == {
        "id": shown["id"],
        "address": "kari@example.no",
        "user_name": "Kari N",
        "full_name": "Kari Nordmann",
        "language": "nn",
        "active": True,
        "groups": [PAYROLL],
        "mail_trouble": None,
        "changed_at": shown["changed_at"],
    }
    again = await boss.get(f"/users/{shown['id']}")
    assert (again.json(), again.headers["etag"]) == (shown, answer.headers["etag"])
    assert (await (await town.world.logged_in("kari@example.no")).session()).json()["account_id"] == shown["id"]


async def test_a_user_is_added_once_however_often_the_request_comes(boss: Acting, owner: Owner) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    body = {"address": "kari@example.no"}
    first, again = [await boss.send("POST", "/users", json=body, headers=key) for _ in range(2)]
    assert first.json() == again.json()
    assert (again.status_code, again.headers["etag"]) == (201, first.headers["etag"])
    await boss.edit(UUID(first.json()["id"]), first.headers["etag"], full_name="Kari")
    late = await boss.send("POST", "/users", json=body, headers=key)
    assert (late.json(), late.headers["etag"]) == (first.json(), first.headers["etag"])
    assert await owner.fetchval("select count(*) from auth.accounts") == 2


@pytest.mark.rule("U30")
@pytest.mark.goal("sec-P10")
async def test_an_answer_that_is_kept_for_one_organisation_is_not_given_in_another(
    town: Town, boss: Acting, owner: Owner
) -> None:
    theirs = await town.organisation("Annen AS")
    await town.put(boss.account_id, theirs, SUPERUSER)
    key, body = {"Idempotency-Key": str(uuid4())}, {"address": "kari@example.no"}
    first = await boss.send("POST", "/users", json=body, headers=key)
    there = await town.acting(boss.account_id, theirs).send("POST", "/users", json=body, headers=key)
    assert (first.status_code, there.status_code) == (201, 409)
    assert first.json()["id"] not in there.text


@pytest.mark.rule("L15", "L17", "L18", "L19")
async def test_an_address_that_anybody_has_is_refused_alike_and_free_again_when_the_duplicate_is_edited_or_erased(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    theirs = await town.organisation("Annen AS")
    await town.user(theirs, "theirs@example.no")
    await town.user(ours, "off@example.no", active=False)
    mine = await town.user(ours, "mine@example.no")
    kari = await town.user(ours, "kari@example.no")
    answers = []
    for address in ("mine@example.no", "MINE@example.no", "off@example.no", "theirs@example.no"):
        answers.append(await boss.send("POST", "/users", json={"address": address}))
        answers.append(await boss.edit(kari, "*", address=address))
    assert {answer.status_code for answer in answers} == {409}
    assert (
        len(
            {
                tuple(sorted(set(answer.json().items()) - {("instance", answer.json()["instance"])}))
                for answer in answers
            }
        )
        == 1
    )
    said = answers[0].json()
    assert (said["type"], said["title"]) == (
        "urn:samband:auth:address-taken",
        "A user with this e-mail already exists.",
    )
    norwegian = await boss.send(
        "POST", "/users", json={"address": "mine@example.no"}, headers={"Accept-Language": "nb"}
    )
    assert norwegian.json()["title"] == "Det finnes allerede en bruker med denne e-postadressen."
    assert (await boss.edit(mine, "*", address="new@example.no")).status_code == 200
    assert (await boss.edit(kari, "*", address="mine@example.no")).status_code == 200
    assert (await boss.send("DELETE", f"/users/{kari}")).status_code == 204
    assert (await boss.send("POST", "/users", json={"address": "mine@example.no"})).status_code == 201


@pytest.mark.rule("L16")
async def test_a_user_name_that_is_taken_has_a_refusal_of_its_own(town: Town, ours: Organisation, boss: Acting) -> None:
    await town.user(ours, "ola@example.no", user_name="Ola")
    kari = await town.user(ours, "kari@example.no")
    added = await boss.send("POST", "/users", json={"address": "per@example.no", "user_name": "OLA"})
    edited = await boss.edit(kari, "*", user_name="ola")
    for answer in (added, edited):
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:samband:auth:user-name-taken")


@pytest.mark.rule("L15")
async def test_the_same_address_added_twice_at_once_is_one_user(boss: Acting, owner: Owner) -> None:
    body = {"address": "kari@example.no"}
    answers = await asyncio.gather(*(boss.send("POST", "/users", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert await owner.fetchval("select count(*) from auth.accounts where address = 'kari@example.no'") == 1


async def test_of_two_superusers_who_edit_at_once_the_second_is_told_what_changed(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    other = town.acting(await town.user(ours, "second@example.no", SUPERUSER), ours)
    kari = await town.user(ours, "kari@example.no", name="Kari")
    tag = await boss.tag(kari)
    answers = await asyncio.gather(
        boss.edit(kari, tag, full_name="Kari Nordmann"), other.edit(kari, tag, full_name="Kari Fjell", language="nn")
    )
    first, late = sorted(answers, key=lambda answer: answer.status_code)
    assert (first.status_code, late.status_code) == (200, 412)
    assert late.json()["type"] == "urn:samband:auth:user-changed"
    assert "full_name" in late.json()["detail"]
    assert "address" not in late.json()["detail"]
    assert (await boss.get(f"/users/{kari}")).json() == first.json()
    now = first.headers["etag"]
    await town.put(kari, ours, PAYROLL)
    told = await boss.edit(kari, now, full_name="Kari Li")
    assert (told.status_code, "Changed: groups." in told.json()["detail"]) == (412, True)
    assert (await boss.edit(kari, await boss.tag(kari), full_name="Kari Li")).status_code == 200


async def test_an_edit_says_what_it_has_seen(town: Town, ours: Organisation, boss: Acting) -> None:
    kari = await town.user(ours, "kari@example.no")
    missing = await boss.send("PATCH", f"/users/{kari}", json={"language": "nn"})
    assert (missing.status_code, missing.json()["errors"][0]["in"]) == (422, "header")
    for tag in ('"1"', "1-1-0", 'W/"1-1-0"', '"1-1-99999999999"'):
        assert (await boss.edit(kari, tag, language="nn")).status_code == 422
    assert (await boss.edit(kari, '"1-7-0"', language="nn")).status_code == 412


async def test_only_what_is_named_is_changed_and_a_change_to_the_same_is_none(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    kari = await town.user(ours, "kari@example.no", name="Kari", user_name="kari")
    tag = await boss.tag(kari)
    same = await boss.edit(kari, tag, full_name="Kari", active=True)
    assert (same.status_code, same.headers["etag"]) == (200, tag)
    named = await boss.edit(kari, tag, user_name=None)
    assert (named.json()["user_name"], named.json()["full_name"]) == (None, "Kari")
    empty = await boss.edit(kari, "*")
    assert (empty.status_code, empty.json()["type"]) == (422, "urn:samband:auth:nothing-to-change")
    told = [fact["version"] for fact in await town.told("AccountChanged") if fact["account_id"] == str(kari)]
    assert told == [1, 2]


@pytest.mark.rule("L12")
@pytest.mark.goal("sec-A10")
async def test_a_user_is_switched_off_logged_out_at_once_and_switched_on_again(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    kari = await town.user(ours, "kari@example.no")
    browser = await town.world.logged_in("kari@example.no")
    off = await boss.edit(kari, await boss.tag(kari), active=False)
    assert (off.status_code, off.json()["active"]) == (200, False)
    assert (await browser.session()).status_code == 401
    assert [fact["account_id"] for fact in await town.told("TokensVoided")] == [str(kari)]
    assert (await boss.edit(kari, off.headers["etag"], active=True)).json()["active"] is True
    assert [fact["active"] for fact in await town.told("AccountChanged")][-2:] == [False, True]
    assert (await (await town.world.logged_in("kari@example.no")).session()).status_code == 200


LINK = "/v1/password-instructions"


@pytest.mark.goal("sec-A1", "sec-A9")
@pytest.mark.parametrize("change", [{"address": "kari.n@example.no"}, {"active": False}])
async def test_what_was_mailed_before_an_address_was_replaced_or_a_user_switched_off_opens_nothing_and_looks_like_a_strangers(
    town: Town, ours: Organisation, boss: Acting, change: dict[str, Any]
) -> None:
    kari = await town.user(ours, "kari@example.no")
    browser, reader = town.world.browser(), town.world.browser()
    challenge, mail = await town.world.asked("kari@example.no", browser)
    assert (await reader.send("POST", LINK, json={"user_name": "kari@example.no"})).status_code == 202
    await town.world.issue_all()
    (told,) = await town.world.told("auth.PasswordInstructionsRequested.v1")
    assert (await boss.edit(kari, "*", **change)).status_code == 200
    if "active" in change:
        await boss.edit(kari, "*", active=True)
    assert [each["challenge_id"] for each in await browser.listed()] == [challenge["challenge_id"]]
    assert (await browser.redeem(challenge, mail.code)).status_code == 403
    new = {"token": told["token"], "new_password": PASSWORD, "confirmation": PASSWORD}
    assert (await reader.send("POST", f"{LINK}/redemptions", json=new)).status_code == 403
    assert (await town.world.logged_in(change.get("address", "kari@example.no"))).cookies


async def test_the_old_address_is_told_that_it_was_replaced_and_nothing_else_is(
    town: Town, ours: Organisation, boss: Acting, owner: Owner
) -> None:
    kari = await town.user(ours, "kari@example.no")
    await boss.edit(kari, "*", full_name="Kari Li")
    assert await town.world.told("auth.AddressReplaced.v1") == []
    await boss.edit(kari, "*", address="kari.n@example.no", language="nn")
    (told,) = await town.world.told("auth.AddressReplaced.v1")
    assert told == {
        "account_id": str(kari),
        "address": "kari@example.no",
        "language": "nb",
        "replaced_at": told["replaced_at"],
    }
    payload = await owner.fetchval("select payload from auth.outbox where type = 'auth.AddressReplaced.v1'")
    assert b"example.no" not in bytes(payload)


@pytest.mark.rule("L12")
async def test_a_superuser_who_is_at_home_elsewhere_counts_as_one_that_is_left(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    kari = await town.user(ours, "kari@example.no")
    advisers = await town.organisation("Rådgiver AS")
    adviser = town.acting(await town.user(advisers, "adviser@example.no"), ours)
    await town.put(adviser.account_id, ours, SUPERUSER)
    assert (await boss.send("DELETE", f"/users/{boss.account_id}/groups/{SUPERUSER}")).status_code == 204
    assert (await adviser.edit(kari, "*", active=False)).status_code == 200
    assert (await adviser.send("DELETE", f"/users/{kari}")).status_code == 204
    await town.put(boss.account_id, ours, SUPERUSER)
    there = town.acting(await town.user(advisers, "chief@example.no", SUPERUSER), advisers)
    await town.user(advisers, "second@example.no", SUPERUSER)
    assert (await there.edit(adviser.account_id, "*", active=False)).status_code == 200
    for answer in (
        await boss.edit(boss.account_id, "*", active=False),
        await boss.send("DELETE", f"/users/{boss.account_id}"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:samband:auth:last-superuser")


async def test_the_last_superuser_is_neither_switched_off_nor_erased(boss: Acting) -> None:
    for answer in (
        await boss.edit(boss.account_id, "*", active=False),
        await boss.send("DELETE", f"/users/{boss.account_id}"),
        await boss.send("DELETE", f"/users/{boss.account_id}/groups/{SUPERUSER}"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:samband:auth:last-superuser")
    assert (await boss.get("/users")).status_code == 200


async def test_users_are_sorted_as_people_expect_and_read_page_by_page(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    people = await crowd(town, ours)
    assert [user["full_name"] for user in await pages(boss)] == [None, *IN_ORDER]
    assert [user["address"] for user in await pages(boss, sort="address")] == [
        "boss@example.no",
        *(f"p{n}@example.no" for n in range(5)),
    ]
    await boss.edit(people["Zoran Li"], "*", language="nn")
    changed = [user["full_name"] for user in await pages(boss, sort="changed_at")]
    assert changed == ["Zoran Li", "Ærlig Haug", "Øyvind Fjell", "Anne Dal", "Åse Berg", None]


async def test_a_list_goes_on_behind_names_whose_letters_fold_into_many(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    long = {"\ufdfa" * 200, "\U0001f600" * 200, "\u0390" * 200}
    for number, name in enumerate(sorted(long)):
        await town.user(ours, f"p{number}@example.no", name=name)
    for sort in ("name", "changed_at", "address"):
        found = [user["full_name"] for user in await pages(boss, sort=sort)]
        assert len(found) == 4 and set(found) == {None, *long}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"active": "false"}, ["Ærlig Haug"]),
        ({"group": PAYROLL}, ["Anne Dal"]),
        ({"mail_trouble": "true"}, ["Zoran Li"]),
        ({"text": "ÅSE"}, ["Åse Berg"]),
        ({"text": "P2@exam"}, ["Øyvind Fjell"]),
        ({"text": "zor-li"}, ["Zoran Li"]),
        ({"text": "%"}, []),
        ({"active": "true", "text": "haug"}, []),
    ],
)
async def test_users_are_found_by_what_they_are(
    town: Town, ours: Organisation, boss: Acting, owner: Owner, query: dict[str, str], found: list[str]
) -> None:
    people = await crowd(town, ours)
    await boss.edit(people["Ærlig Haug"], "*", active=False)
    await boss.edit(people["Zoran Li"], "*", user_name="ZOR-LI")
    await town.put(people["Anne Dal"], ours, PAYROLL)
    await owner.execute(
        "insert into auth.mail_troubles (account_id, organisation_id, mail_id, noted_at) values ($1, $2, $1, now())",
        people["Zoran Li"],
        ours.id,
    )
    assert [user["full_name"] for user in await pages(boss, **query)] == found


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "Å",
        cursors.write("address", "a", uuid4()),
        cursors.write("changed_at", "yesterday", uuid4()),
        cursors.write("changed_at", "9" * 30, uuid4()),
        cursors.write("name", "\0", uuid4()),
        "W10",
    ],
    ids=["text", "letters", "another sort", "no time", "no year", "a null", "too short"],
)
@pytest.mark.parametrize("sort", ["name", "changed_at"])
async def test_a_cursor_that_is_none_is_refused(boss: Acting, cursor: str, sort: str) -> None:
    answer = await boss.get("/users", cursor=cursor, sort=sort)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:samband:auth:wrong-cursor")


BAD: dict[str, list[Any]] = {
    "address": [None, "", "kari", "kari@", "a" * 250 + "@example.no", "kari@exa\0mple.no", 7, ["kari@example.no"]],
    "user_name": ["", " ", "\u202ekari", "x" * 101, "a\nb", 7],
    "full_name": ["", " ", "\u202ekari", "x" * 201, "a\0b", 7],
    "language": ["sv", "", None, 7],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
async def test_a_field_that_is_wrong_is_named_and_changes_nothing(
    town: Town, ours: Organisation, boss: Acting, field: str, value: Any
) -> None:
    kari = await town.user(ours, "kari@example.no", name="Kari")
    tag = await boss.tag(kari)
    added = await boss.send("POST", "/users", json={"address": "new@example.no", field: value})
    edited = await boss.edit(kari, tag, **{field: value})
    for answer in (added, edited):
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"].startswith(f"#/{field}")
    assert await boss.tag(kari) == tag


@pytest.mark.parametrize("value", [None, "yes please", 7])
async def test_whether_somebody_is_active_is_yes_or_no(boss: Acting, value: Any) -> None:
    assert (await boss.edit(boss.account_id, "*", active=value)).status_code == 422


@pytest.mark.parametrize(
    "groups", [["no.such"], ["unionfees.company-user"], [SUPPORT], [7], "x", ["x" * 101], ["x"] * 31]
)
async def test_rights_that_cannot_be_given_keep_the_user_from_being_added(
    boss: Acting, owner: Owner, groups: Any
) -> None:
    answer = await boss.send("POST", "/users", json={"address": "kari@example.no", "groups": groups})
    assert answer.status_code in {403, 404, 409, 422}
    assert await owner.fetchval("select count(*) from auth.accounts") == 1


async def test_a_field_that_is_not_known_is_refused(boss: Acting) -> None:
    for more in ({"organisation_id": str(uuid4())}, {"epoch": 1}):
        answer = await boss.send("POST", "/users", json={"address": "kari@example.no", **more})
        assert answer.json()["errors"][0]["code"] == "extra_forbidden"
    assert (await boss.get("/users", organisation_id=str(uuid4()))).status_code == 422


@pytest.mark.rule("L14")
async def test_a_superuser_gives_and_takes_rights(town: Town, ours: Organisation, boss: Acting) -> None:
    kari = await town.user(ours, "kari@example.no")
    for _ in range(2):
        assert (await boss.send("PUT", f"/users/{kari}/groups/{PAYROLL}")).status_code == 204
    assert (await boss.get(f"/users/{kari}")).json()["groups"] == [PAYROLL]
    for _ in range(2):
        assert (await boss.send("DELETE", f"/users/{kari}/groups/{PAYROLL}")).status_code == 204
    assert (await boss.get(f"/users/{kari}")).json()["groups"] == []
    own = await boss.send("PUT", f"/users/{boss.account_id}/groups/{PAYROLL}")
    assert (own.status_code, own.json()["type"]) == (403, "urn:samband:auth:own-rights")


@pytest.mark.rule("L13", "L14")
@pytest.mark.parametrize("other_role", [None, STAFF_SUPERUSER, SUPERUSER])
async def test_support_sees_the_users_of_a_customer_and_every_call_that_would_change_one_is_refused(
    town: Town, ours: Organisation, boss: Acting, owner: Owner, other_role: str | None
) -> None:
    centre = await town.organisation("Kundesenteret", "operator")
    kari = await town.user(ours, "kari@example.no", name="Kari")
    helper = await town.user(centre, "helper@example.no", SUPPORT)
    home = ours if other_role == SUPERUSER else centre
    if other_role is not None:
        await town.put(helper, home, other_role)
    listed = await town.acting(helper, centre).get(f"/organisations/{ours.id}/users", text="kari")
    assert [user["id"] for user in listed.json()["items"]] == [str(kari)]
    support, before = town.acting(helper, home), await owner.fetchval("select count(*) from auth.outbox")
    for method, path, body in CHANGES:
        answer = await support.send(method, path.format(kari), headers={"If-Match": "*"}, **body)
        assert answer.status_code == 403, path
        if other_role is not None:
            assert answer.json()["type"] == "urn:samband:auth:support-may-not", path
    assert await owner.fetchval("select count(*) from auth.outbox") == before


CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/users", {"json": {"address": "new@example.no"}}),
    ("PATCH", "/users/{}", {"json": {"address": "new@example.no"}}),
    ("PATCH", "/users/{}", {"json": {"active": False}}),
    ("DELETE", "/users/{}", {}),
    ("PUT", f"/users/{{}}/groups/{PAYROLL}", {}),
    ("DELETE", f"/users/{{}}/groups/{PAYROLL}", {}),
]


async def test_support_sees_customers_alone_and_nobody_else_sees_another_organisation(
    town: Town, ours: Organisation, boss: Acting
) -> None:
    centre = await town.organisation("Kundesenteret", "operator")
    support = town.acting(await town.user(centre, "helper@example.no", SUPPORT), centre)
    for unknown in (centre.id, uuid4()):
        assert (await support.get(f"/organisations/{unknown}/users")).status_code == 404
    assert (await boss.get(f"/organisations/{ours.id}/users")).status_code == 403


@pytest.mark.rule("L12", "C1")
async def test_a_superuser_who_logs_in_sees_the_users_by_the_cookie_alone_and_no_more_without_the_right(
    town: Town, ours: Organisation
) -> None:
    boss = await town.user(ours, "boss@example.no", SUPERUSER)
    browser = await town.world.logged_in("boss@example.no")
    listed = await browser.send("GET", "/v1/users")
    assert [user["id"] for user in listed.json()["items"]] == [str(boss)]
    me = await browser.send("GET", "/v1/me", headers={"Accept-Language": "nb"})
    assert me.json()["organisations"][0]["groups"] == [{"name": SUPERUSER, "title": "Superbruker"}]
    await town.take(OPERATOR, boss, ours, SUPERUSER)
    assert (await browser.send("GET", "/v1/users")).status_code == 401
    assert (await (await town.world.logged_in("boss@example.no")).send("GET", "/v1/users")).status_code == 403
