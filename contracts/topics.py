"""Topics: one for each aggregate, holding all its event types in order."""

from dataclasses import dataclass
from datetime import timedelta

LARGEST_BATCH = 262_144
"""Bytes of a batch, as it lies there unpacked, on a topic where others write."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic as the operator creates it; a service never does.

    `name` is `<service>.<aggregate>.v<major>`. Kafka drops whole segments, once their last record is old enough: they are
    rolled often, so that what is promised is kept (sec-P5). A topic with sealed secrets keeps one hour in segments of 15
    minutes, another one seven days in segments of a day.
    """

    name: str
    partitions: int = 6
    retention: timedelta = timedelta(days=7)
    segment: timedelta = timedelta(days=1)
    holds_secrets: bool = False

    @property
    def owner(self) -> str:
        """Name the service whose topic this is."""
        return self.name.partition(".")[0]

    @property
    def takes_requests(self) -> bool:
        """Tell whether other systems write here, and the owner reads; on every other topic the owner alone writes."""
        return self.name.split(".")[1] == "requests"

    def config(self) -> dict[str, str]:
        """Give the topic's settings as Kafka names them.

        Where others write, Kafka unpacks each batch and measures it so: a small one could unpack to more than its reader's
        memory, at every start anew.
        """
        bounds = {"compression.type": "uncompressed", "max.message.bytes": str(LARGEST_BATCH)}
        return {
            "retention.ms": str(self.retention // timedelta(milliseconds=1)),
            "segment.ms": str(self.segment // timedelta(milliseconds=1)),
            "cleanup.policy": "delete",
            **(bounds if self.takes_requests else {}),
        }


def secrets(name: str) -> Topic:
    """Declare a topic whose messages carry sealed secrets."""
    return Topic(name, retention=timedelta(hours=1), segment=timedelta(minutes=15), holds_secrets=True)


ACCOUNTS = Topic("auth.accounts.v1")
CODES = secrets("auth.codes.v1")
ACCESS_ORDERS = Topic("auth.access-orders.v1")
AUTH_ANSWERS = Topic("auth.answers.v1")
AUTH_REQUESTS = Topic("auth.requests.v1")
ORGANISATIONS = Topic("auth.organisations.v1")
RIGHTS = Topic("auth.rights.v1")
SESSIONS = Topic("auth.sessions.v1")
DELIVERIES = Topic("notifications.deliveries.v1")

ALL = (
    ACCESS_ORDERS,
    ACCOUNTS,
    AUTH_ANSWERS,
    AUTH_REQUESTS,
    CODES,
    DELIVERIES,
    ORGANISATIONS,
    RIGHTS,
    SESSIONS,
)
BY_NAME = {topic.name: topic for topic in ALL}
