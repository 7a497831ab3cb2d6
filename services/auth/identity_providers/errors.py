"""What is declined about log-ins by a provider; each docstring is what the person reads."""

from chassis.errors import Kind, Refusal


class NoSuchProvider(Refusal):
    """Nobody logs in here with an electronic ID of this name."""

    kind = Kind.MISSING


class TooManyLogIns(Refusal):
    """Too many log-ins have been begun from this network.

    Wait a while, or log in with a code by e-mail.
    """

    kind = Kind.TOO_MANY


class LogInFailed(Refusal):
    """Somebody's log-in by a provider came to nothing; the reason is a constant for the log, never shown."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class LogInOver(LogInFailed):
    """This log-in is over, or was begun in another browser.

    Begin again from the log-in page. You have ten minutes each time.
    """

    kind = Kind.FORBIDDEN


class LogInCancelled(LogInFailed):
    """You were not logged in, because the log-in with electronic ID was cancelled.

    Begin again from the log-in page, or log in another way.
    """

    kind = Kind.FORBIDDEN


class ProviderUnavailable(LogInFailed):
    """The provider of your electronic ID does not answer just now.

    You are not logged in. Try again in a few minutes, or log in with a code by e-mail.
    """

    kind = Kind.UNAVAILABLE


class ProviderDistrusted(LogInFailed):
    """The provider of your electronic ID gave an answer that cannot be trusted.

    You are not logged in, and nothing has changed. Begin again from the log-in page; if it happens again, tell support.
    """

    kind = Kind.FORBIDDEN


class AssuranceNotReached(LogInFailed):
    """The log-in was not as sure as is needed here.

    Begin again, and choose an electronic ID of a higher level, such as BankID.
    """

    kind = Kind.FORBIDDEN


class NumberMissing(LogInFailed):
    """Your electronic ID did not say which identity number you have, and it is needed here.

    Begin again with another electronic ID.
    """

    kind = Kind.FORBIDDEN


class AccountClosed(LogInFailed):
    """The account that your electronic ID is linked to cannot be logged in to.

    Those who administer the users of your organisation can tell you why.
    """

    kind = Kind.FORBIDDEN
