"""Words: what the page says that asks for the e-mail of a new identity, and the one that shows the link (I4, I5, I10, I19)."""

from pathlib import Path

from chassis.texts import Language, Texts

QUESTION = (
    "Enter the e-mail address of an existing account, or one to create a new account that will be linked to your"
    " %(provider)s account. We send a security code to this address to confirm it."
)
PLACEHOLDER = "enter e-mail address"
SEND = "Send e-mail"
ADVICE = (
    "It must be your work e-mail address: another one does not give you the right access. Not sure which it is? Ask your"
    " manager."
)
LINKED = "%(provider)s is linked to your account. You can log in to our services with %(provider)s."
REMOVE = "Do you want to remove your identity number?"
ALL = (QUESTION, PLACEHOLDER, SEND, ADVICE, LINKED, REMOVE)
"""To be translated, like the refusals."""


class Words:
    """Says them in the person's language."""

    def __init__(self) -> None:
        self._texts = Texts(Path(__file__).parents[1] / "locales")

    def say(self, text: str, language: Language, **values: object) -> str:
        return self._texts.say(text, language, **values)
