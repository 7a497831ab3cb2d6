"""A company's superuser, its new user, the union: accounts activated, terms accepted, rights given, a block and its end."""

import json
from dataclasses import dataclass, field

import httpx2

from deploy.local.demo.cast import INTRUDER, SUPERUSER, UNION, USER, USER_MOVED
from deploy.local.demo.scene import Scene
from deploy.local.journey import Person
from deploy.local.platform import ORGANISATION

PASSWORD, OTHER_PASSWORD = "sju trapper opp til loftet", "fem trapper ned til kjelleren"
COMMON = "passordpassord1"  # Of many, which is why it is refused.
TERMS, PORTAL = "unionfees.confidentiality", "unionfees"
TRIES = 5
OK, CREATED, GONE, DENIED, UNKNOWN, TAKEN, CHANGED, UNTICKED = 200, 201, 204, 403, 404, 409, 412, 422
END_BLOCK = "update auth.blocks set blocked_until = now() where blocked_until > now()"


@dataclass(slots=True)
class Office:
    """Who meets in this act, and for whom they act."""

    superuser: Person
    union: Person
    user: Person
    company: str = ""
    user_id: str = ""
    grants: list[str] = field(default_factory=list)


async def belong(scene: Scene) -> None:
    """All that happens from a superuser's first log-in until a right is taken away."""
    office = Office(scene.person(SUPERUSER), scene.person(UNION), scene.person(USER))
    await _found(scene, office)
    await _activate(scene, office)
    await _accept_terms(scene, office)
    await _be_blocked(scene, office)
    await _edit(scene, office)


async def _found(scene: Scene, office: Office) -> None:
    """The operator makes two organisations and their first superusers; these log in with codes."""
    report, platform = scene.report, scene.platform
    report.title("A company and a union, each with its superuser")
    made = await platform.run("auth", "organisations", "add", "Eksempelbedriften AS")
    office.company = json.loads(made)["added"]
    made = await platform.run(
        "auth", "organisations", "add", ORGANISATION["SAMBAND_ORGANISATION"], "--kind", "operator"
    )
    union = json.loads(made)["added"]
    await platform.run("auth", "superusers", "add", "--organisation", office.company, SUPERUSER)
    told = json.loads(await platform.run("auth", "superusers", "add", "--organisation", union, UNION))
    named = ("--organisation", union, "--account", told["account_id"])
    await platform.run("auth", "grants", "add", *named, "unionfees.union")
    for person in (office.superuser, office.union):
        await person.ask()
        session = await person.redeem(await scene.mailed_code(person))
        named = session.json().get("organisation_id")
        report.check(f"{person.address} acts for their organisation", holds=named in {office.company, union})


async def _activate(scene: Scene, office: Office) -> None:
    """The superuser adds a user, who chooses a password with a code from a mail."""
    report, user = scene.report, office.user
    report.title(f"{USER} is added, and activates the account")
    body = {"address": USER, "full_name": "Ola Nordmann", "language": "nb", "groups": ["cases.payroll"]}
    added = await office.superuser.send("POST", "/v1/users", body)
    office.user_id = added.json().get("id", "")
    report.check("the superuser adds the user", holds=added.status_code == CREATED)
    asked = await user.send("POST", "/v1/activations", {"address": USER})
    code = await scene.mailed_code(user)
    path = f"/v1/activations/{asked.json()['challenge_id']}/password"
    differing = {"code": code, "new_password": PASSWORD, "confirmation": OTHER_PASSWORD}
    scene.refusal("two passwords that differ, and the code stays good", await user.send("POST", path, differing), 422)
    common = {"code": code, "new_password": COMMON, "confirmation": COMMON}
    scene.refusal("a password that many have", await user.send("POST", path, common), 422)
    right = {"code": code, "new_password": PASSWORD, "confirmation": PASSWORD}
    answer = await user.send("POST", path, right)
    report.check("code and password in one step: logged in", holds=answer.status_code == CREATED)
    await scene.mailbox.wait_for(2, to=USER, within=25)
    report.check("a mail says that the password was set", holds=len(scene.mailbox.mails.listed(to=USER)) == 2)  # noqa: PLR2004 -- the code's and this.


async def _accept_terms(scene: Scene, office: Office) -> None:
    """The union gives the user the company's access; before it opens anything there are terms to accept."""
    report, user = scene.report, office.user
    report.title("The union grants access, and the Taushetserklæring comes first")
    own = f"/v1/users/{office.user_id}/groups/unionfees.company-user"
    scene.refusal("the superuser cannot grant it", await office.superuser.send("PUT", own), DENIED)
    given = await office.union.send("PUT", f"/v1/organisations/{office.company}/company-users/{office.user_id}")
    report.check("the union can", holds=given.status_code == GONE)
    await _log_in(user, PASSWORD)
    scene.refusal("nothing opens yet", await _token(user), DENIED)
    shown = (await user.send("GET", f"/v1/terms/{TERMS}")).json()
    _, first, *_ = shown["text"].split("\n\n")
    report.say(f"«{first[:88]} …»")
    accept = f"/v1/terms/{TERMS}/acceptances"
    unticked = {"version": shown["version"], "accepted": False}
    scene.refusal("Ok without the tick", await user.send("POST", accept, unticked), UNTICKED)
    await user.send("POST", accept, {"version": shown["version"], "accepted": True})
    token = await _token(user)
    report.check(f"accepted: a token for {PORTAL} that lives a minute", holds=token.status_code == CREATED)


async def _be_blocked(scene: Scene, office: Office) -> None:
    """Five wrong passwords from a browser that the account does not know; a known one still gets in."""
    report = scene.report
    report.title("Five wrong passwords in a row")
    intruder = Person(INTRUDER, office.user.client)
    before = len(scene.mailbox.mails.listed(to=USER))
    answers = [await _log_in(intruder, OTHER_PASSWORD, login=USER) for _ in range(TRIES)]
    answers.append(await _log_in(intruder, PASSWORD, login=USER))
    scene.refusal("the right password after five wrong ones looks like a wrong one", answers[-1], DENIED)
    report.check("all answers alike", holds=len({(a.status_code, a.json()["type"]) for a in answers}) == 1)
    known = await _log_in(office.user, PASSWORD)
    report.check("the person's own browser still gets in", holds=known.status_code == CREATED)
    mails = await scene.mailbox.wait_for(before + 1, to=USER, within=40)
    report.say(f"e-mail to the person: {mails[0].subject}")
    await scene.behind_the_scenes(END_BLOCK)
    later = await _log_in(intruder, PASSWORD, login=USER)
    report.check("after fifteen minutes (the row was aged) the block is over", holds=later.status_code == CREATED)


async def _edit(scene: Scene, office: Office) -> None:
    """The superuser corrects the user's address and takes a right away."""
    report, superuser = scene.report, office.superuser
    report.title("The superuser edits the user")
    path = f"/v1/users/{office.user_id}"
    tag = (await superuser.send("GET", path)).headers["etag"]
    scene.refusal(
        "an address that somebody has", await superuser.send("PATCH", path, {"address": UNION}, if_match=tag), TAKEN
    )
    moved = await superuser.send("PATCH", path, {"address": USER_MOVED}, if_match=tag)
    report.check(f"the address is now {USER_MOVED}", holds=moved.status_code == OK)
    stale = await superuser.send("PATCH", path, {"full_name": "Ola N."}, if_match=tag)
    scene.refusal("an edit of what has changed meanwhile", stale, CHANGED)
    told = len(scene.observer.of("TokensVoided"))
    taken = await superuser.send("DELETE", f"{path}/groups/cases.payroll")
    await scene.observer.wait_for("TokensVoided", told + 1)
    report.check("a right is taken away, and TokensVoided tells every service", holds=taken.status_code == GONE)
    gone = await office.user.send("GET", "/v1/session")
    report.check("the old session is over", holds=gone.status_code == httpx2.codes.UNAUTHORIZED)


async def _log_in(person: Person, password: str, *, login: str | None = None) -> httpx2.Response:
    return await person.send(
        "POST", "/v1/sessions/by-password", {"login": login or person.address, "password": password}
    )


async def _token(person: Person) -> httpx2.Response:
    return await person.send("POST", "/v1/access-tokens", {"audience": PORTAL})
