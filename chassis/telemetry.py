"""Telemetry: the Prometheus metrics of everything in the chassis, with bounded labels."""

from prometheus_client import Counter, Gauge, Histogram

_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

OUTBOX_WRITTEN = Counter("samband_outbox_written", "Messages written to the outbox.", ["type"])
OUTBOX_PUBLISHED = Counter("samband_outbox_published", "Messages that Kafka acknowledged.", ["topic"])
OUTBOX_DEPTH = Gauge(
    "samband_outbox_depth", "Messages waiting in the outbox, as the leading relay sees it.", ["service"]
)
OUTBOX_AGE = Gauge("samband_outbox_oldest_seconds", "Age of the oldest message waiting in the outbox.", ["service"])
OUTBOX_HELD = Gauge("samband_outbox_held", "Keys and topics held because Kafka refuses them.", ["service"])
RELAY_LEADS = Gauge("samband_relay_leads", "1 while this process leads its schema's relay.", ["service"])
RELAY_BATCH = Histogram("samband_relay_batch_size", "Messages in one relay cycle.", buckets=(1, 5, 20, 100, 500, 1000))
RELAY_FAILURES = Counter("samband_relay_failures", "Sends that Kafka refused or left unknown.", ["outcome"])

CONSUMED = Counter("samband_consumed", "Messages that arrived, by what became of them.", ["lane", "outcome"])
CONSUME_BATCH = Histogram(
    "samband_consume_seconds", "Seconds from a batch's arrival to its commit.", ["lane"], buckets=_SHORT
)
SET_ASIDE = Counter("samband_set_aside", "Messages set aside.", ["lane", "reason"])
PARKED = Counter("samband_parked", "Messages parked for a person.", ["lane"])
DEAD_LETTERS = Gauge("samband_dead_letters", "Messages set aside now.", ["service", "state"])

LOOP_FAILURES = Counter("samband_loop_failures", "Ticks that raised.", ["loop"])
POOL_IN_USE = Gauge("samband_pool_in_use", "Postgres connections in use.", ["service"])
POOL_WAIT = Histogram("samband_pool_wait_seconds", "Seconds waited for a Postgres connection.", buckets=_SHORT)

HTTP_REQUESTS = Histogram(
    "samband_http_seconds", "Seconds to answer, by route template.", ["method", "route", "status"], buckets=_SHORT
)
