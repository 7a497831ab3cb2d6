"""Purposes: what may be asked for without being signed in; each is a row, settled by a worker after the answer (sec-A9)."""

from enum import StrEnum


class Purpose(StrEnum):
    """What a challenge is for, and so what its code is good for: never for anything else."""

    LOGIN = "login"
    ACTIVATION = "activation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 -- the name of a purpose. # nosec B105
    USER_NAME = "user_name"
    LINK = "link"
    UNLINK = "unlink"
    PASSWORD_INSTRUCTIONS = "password_instructions"  # noqa: S105 -- as above. # nosec B105

    @property
    def sets_password(self) -> bool:
        return self in {Purpose.ACTIVATION, Purpose.PASSWORD_RESET, Purpose.PASSWORD_INSTRUCTIONS}

    @property
    def has_code(self) -> bool:
        """Tell whether a code is typed where it was asked for; a link and a reminder are read in the mail alone."""
        return self not in {Purpose.USER_NAME, Purpose.PASSWORD_INSTRUCTIONS}
