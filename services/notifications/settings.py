"""Settings of notifications."""

from typing import Annotated

from pydantic import Field, HttpUrl, SecretStr

from chassis.settings import ServiceSettings

ADDRESS = r"^[A-Za-z0-9_%+-]+(\.[A-Za-z0-9_%+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
DOMAIN = r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
ONE_LINE = r"^[^\p{Cc}\p{Zl}\p{Zp}]+$"


class NotificationsSettings(ServiceSettings):
    """What notifications reads besides: the mail server, and who the mails are from."""

    smtp_host: Annotated[str, Field(description="the mail server that takes our mails")]
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_starttls: Annotated[bool, Field(description="refuse to send without TLS")] = True
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_connections: Annotated[int, Field(ge=1, le=50, description="connections kept open")] = 4
    smtp_answer_seconds: Annotated[float, Field(gt=0, le=60, description="for connecting and each address")] = 15.0
    smtp_accept_seconds: Annotated[float, Field(gt=0, le=600, description="for taking the text")] = 60.0
    code_sender: Annotated[str, Field(pattern=ADDRESS, description="address that codes are sent from (G1)")]
    organisation: Annotated[str, Field(pattern=ONE_LINE, description="name that mails are from")]
    support_email: Annotated[str, Field(description="where people write for help (G6)")]
    support_phone: Annotated[str, Field(description="where people call for help (G6)")]
    portal_url: Annotated[
        HttpUrl, Field(description="where the pages are; links in mails begin with it, whatever a request says")
    ]
    message_id_domain: Annotated[str, Field(pattern=DOMAIN, description="domain of the Message-ID of every mail")]
    keep_mails_days: Annotated[int, Field(ge=1, le=365)] = 30
