"""Telemetry: the Prometheus metrics of everything in the chassis, with bounded labels."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

OUTBOX_WRITTEN = Counter("samband_outbox_written", "Messages written to the outbox.", ["type"])
OUTBOX_PUBLISHED = Counter("samband_outbox_published", "Messages that Kafka acknowledged.", ["topic"])
OUTBOX_DEPTH = Gauge(
    "samband_outbox_depth", "Messages waiting in the outbox, as the leading relay sees it.", ["service"]
)
OUTBOX_AGE = Gauge("samband_outbox_oldest_seconds", "Age of the oldest message waiting in the outbox.", ["service"])
OUTBOX_HELD = Gauge("samband_outbox_held", "Keys and topics held because Kafka refuses them.", ["service", "what"])
RELAY_LEADS = Gauge("samband_relay_leads", "1 while this process leads its schema's relay.", ["service"])
RELAY_BATCH = Histogram("samband_relay_batch_size", "Messages in one relay cycle.", buckets=(1, 5, 20, 100, 500, 1000))
RELAY_SEND = Histogram(
    "samband_relay_send_seconds",
    "Seconds until Kafka answered for a batch, by what it said.",
    ["outcome"],
    buckets=_SHORT,
)
RELAY_FAILURES = Counter("samband_relay_failures", "Sends that Kafka refused or left unknown.", ["outcome"])

CONSUMED = Counter("samband_consumed", "Messages that arrived, by what became of them.", ["lane", "outcome"])
CONSUME_BATCH = Histogram(
    "samband_consume_seconds", "Seconds from a batch's arrival to its commit.", ["lane"], buckets=_SHORT
)
CONSUMER_FAILURES = Counter(
    "samband_consumer_failures", "Kafka clients of a lane that failed and were replaced.", ["lane"]
)
REQUESTS = Counter(
    "samband_requests",
    "Judgements of requests of systems; one whose batch is rolled back is judged again.",
    ["system", "outcome"],
)
SET_ASIDE = Counter("samband_set_aside", "Messages set aside.", ["lane", "reason"])
PARKED = Counter("samband_parked", "Messages parked for a person.", ["lane"])
DEAD_LETTERS = Gauge("samband_dead_letters", "Messages set aside now.", ["service", "state"])
DEAD_LETTER_TRIES = Counter(
    "samband_dead_letter_tries", "Tries of messages set aside, by what came of them.", ["lane", "outcome"]
)
UNREAD_LOOKS = Gauge(
    "samband_unread_looks",
    "Looks in a row at which a partition had more to read and stood still; 6 end the process.",
    ["group"],
)
STUCK = Counter("samband_stuck_exits", "1 once a lane was found stuck and this process leaves.", ["group"])

LOOP_FAILURES = Counter("samband_loop_failures", "Ticks that raised.", ["loop"])
POOL_IN_USE = Gauge("samband_pool_in_use", "Postgres connections in use.", ["service"])
POOL_SIZE = Gauge("samband_pool_size", "The most Postgres connections that the pool opens.", ["service"])
POOL_WAITING = Gauge("samband_pool_waiting", "Transactions that wait for a Postgres connection now.", ["service"])
POOL_WAIT = Histogram("samband_pool_wait_seconds", "Seconds waited for a Postgres connection.", buckets=_SHORT)

HTTP_REQUESTS = Histogram(
    "samband_http_seconds",
    "Seconds to answer, by route template and class of status.",
    ["method", "route", "status"],
    buckets=_SHORT,
)

LOOP_LAG = Histogram(
    "samband_loop_lag_seconds", "How late the event loop comes to what is due, asked twice a second.", buckets=_SHORT
)
SPANS = Counter(
    "samband_spans",
    "Spans recorded, sent, and lost because the endpoint did not take them, or not in time.",
    ["outcome"],
)
BUILD = Gauge("samband_build_info", "1, with what runs here.", ["service", "version", "python"])

Lags = Mapping[tuple[str, int], int]
"""Messages that are not handled yet, by topic and partition."""


class _Lag(Collector):
    """Asks each consumer when it is asked itself: a lane that waits out an outage handles nothing, and its lag grows."""

    def __init__(self) -> None:
        self._lanes: dict[str, Callable[[], Lags]] = {}

    def describe(self) -> Iterable[GaugeMetricFamily]:
        yield self._family()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = self._family()
        for lane, lags in tuple(self._lanes.items()):
            for (topic, partition), count in lags().items():
                family.add_metric([lane, topic, str(partition)], count)
        yield family

    def show(self, lane: str, lags: Callable[[], Lags]) -> None:
        """Show a lane's lag from now on."""
        self._lanes[lane] = lags

    def hide(self, lane: str) -> None:
        """Show it no more."""
        self._lanes.pop(lane, None)

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "samband_consumer_lag",
            "Messages of its partitions that this consumer has not handled; their ends are asked for every ten seconds.",
            labels=["lane", "topic", "partition"],
        )


LAG = _Lag()
REGISTRY.register(LAG)
