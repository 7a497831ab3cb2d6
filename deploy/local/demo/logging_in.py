"""Three people log in with codes; what must not work does not."""

from datetime import datetime

from deploy.local.demo.cast import PEOPLE, REFUSED, STRANGER
from deploy.local.demo.scene import Scene
from deploy.local.journey import Person, code_in


async def log_in(scene: Scene) -> None:
    """Three people ask for a code, read it in the mail and log in with it."""
    report = scene.report
    for address, language in PEOPLE.items():
        report.title(f"{address} logs in ({language})")
        person = scene.person(address)
        answer = await person.ask()
        answered = datetime.now(person.asked_at.tzinfo)
        (mail,) = await scene.mailbox.wait_for(1, to=address)
        session = await person.redeem(code_in(mail))
        logged_in = datetime.now(person.asked_at.tzinfo)
        await scene.observer.wait_for("MailDelivered", len(scene.mailbox.mails.listed()))
        (requested,) = [
            seen for seen in scene.observer.of("OtpRequested") if seen.key == person.challenge["challenge_id"]
        ]
        delivered = scene.observer.of("MailDelivered")[-1]
        report.event(person.asked_at, answered, f"answer {answer.status_code}", "auth api", "browser")
        report.event(person.asked_at, requested.at, "OtpRequested", "auth", f"Kafka {requested.topic}")
        report.event(person.asked_at, mail.received_at, "e-mail", "notifications", f"mailbox: {mail.subject}")
        report.event(person.asked_at, delivered.at, "MailDelivered", "notifications", f"Kafka {delivered.topic}")
        report.event(person.asked_at, logged_in, f"session {session.status_code}", "auth api", "browser")
        me = (await person.who_am_i()).json()
        report.check("logged in with the code from the mail", holds=me.get("address") == address)
        report.check("mail and page show the same reference", holds=person.challenge["reference"] in mail.subject)


async def be_refused(scene: Scene) -> None:
    """What must not work, does not, and says nothing about who has an account."""
    report = scene.report
    report.title("What is refused")
    wrong, used, late, many = (scene.person(address) for address in REFUSED)
    stranger = scene.person(STRANGER)
    answers = [await person.ask() for person in (wrong, used, late, many, stranger)]
    codes = [await scene.mailed_code(person) for person in (wrong, used, late, many)]
    scene.refusal("wrong code", await wrong.redeem(_other(codes[0])), 403)
    await used.redeem(codes[1])
    scene.refusal("used code", await used.redeem(codes[1]), 403)
    await _age(scene, late)
    scene.refusal("expired code (its row was aged in the database)", await late.redeem(codes[2]), 403)
    for _ in range(5):
        await many.redeem(_other(codes[3]))
    scene.refusal("the right code after too many tries", await many.redeem(codes[3]), 429)
    scene.refusal("a code for an unknown address", await stranger.redeem("123456"), 403)
    alike = {(answer.status_code, tuple(sorted(answer.json()))) for answer in answers}
    report.check("members and the stranger got the same answer", holds=len(alike) == 1)
    report.check("the stranger got no mail", holds=not scene.mailbox.mails.listed(to=STRANGER))


def _other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def _age(scene: Scene, person: Person) -> None:
    await scene.behind_the_scenes(
        "update auth.challenges set asked_at = asked_at - interval '11 minutes', "
        "expires_at = expires_at - interval '11 minutes' where id = $1",
        person.challenge["challenge_id"],
    )
