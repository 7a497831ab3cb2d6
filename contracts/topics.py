"""Topics: one for each aggregate, holding all its event types in order."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic as the operator creates it; a service never does.

    `name` is `<service>.<aggregate>.v<major>`. A topic that carries sealed secrets keeps one hour, and rolls its
    segments every 15 minutes so that the hour is kept (sec-P5).
    """

    name: str
    partitions: int = 6
    retention: timedelta = timedelta(days=7)
    segment: timedelta | None = None
    holds_secrets: bool = False

    def config(self) -> dict[str, str]:
        """Give the topic's settings as Kafka names them."""
        config = {"retention.ms": str(self.retention // timedelta(milliseconds=1)), "cleanup.policy": "delete"}
        if self.segment is not None:
            config["segment.ms"] = str(self.segment // timedelta(milliseconds=1))
        return config


def secrets(name: str) -> Topic:
    """Declare a topic whose messages carry sealed secrets."""
    return Topic(name, retention=timedelta(hours=1), segment=timedelta(minutes=15), holds_secrets=True)


ACCOUNTS = Topic("auth.accounts.v1")
CODES = secrets("auth.codes.v1")
DELIVERIES = Topic("notifications.deliveries.v1")

ALL = (ACCOUNTS, CODES, DELIVERIES)
BY_NAME = {topic.name: topic for topic in ALL}
