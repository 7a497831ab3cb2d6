"""Boards: which graphs operators see, and the queries behind them."""

from dataclasses import dataclass

RATE = "$__rate_interval"
OURS = 'job=~"$job"'
ROUTES = 'route!~"/livez|/readyz|/metrics"'
"""What machines ask beside the process is no request of anybody."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph; `queries` are (legend, PromQL)."""

    title: str
    about: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: rows with their panels."""

    name: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def rate(metric: str, by: str, where: str = "") -> str:
    """Write the rate of a counter, summed over processes."""
    return f"sum by ({by}) (rate({metric}{{{', '.join(filter(None, (OURS, where)))}}}[{RATE}]))"


def quantile(share: float, histogram: str, by: str = "", where: str = "") -> str:
    """Write a quantile of a histogram over all processes."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, where)})"


def quantiles(histogram: str, by: str = "", where: str = "") -> tuple[tuple[str, str], ...]:
    """Write the median and the 99th percentile."""
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple((f"p{round(share * 100)}{legend}", quantile(share, histogram, by, where)) for share in (0.5, 0.99))


def highest(metric: str, by: str, where: str = "") -> str:
    """Write the highest value of a gauge: replicas that see the same thing show it once."""
    return f"max by ({by}) ({metric}{{{', '.join(filter(None, (OURS, where)))}}})"


OUTBOX_AGE = Panel(
    "Oldest message in the outbox",
    "What was committed and is not in Kafka yet. It should be well below a second; it grows while Kafka is away.",
    (("{{service}}", highest("samband_outbox_oldest_seconds", "service")),),
    "s",
)
PARKED = Panel(
    "Parked messages",
    "Given up until a person looks: later messages of the same key wait behind each.",
    (("{{service}}", highest("samband_dead_letters", "service", 'state="parked"')),),
)
LAG = Panel(
    "Consumer lag",
    "Messages in Kafka that are not handled yet.",
    (("{{job}} {{lane}}", f"sum by (job, lane) (samband_consumer_lag{{{OURS}}})"),),
)

OVERVIEW = Board(
    "samband",
    "Samband",
    (
        (
            "Do people get what they ask for?",
            (
                Panel(
                    "Requests",
                    "Answered over HTTP, by class of status.",
                    (("{{job}} {{status}}", rate("samband_http_seconds_count", "job, status", ROUTES)),),
                    "reqps",
                ),
                Panel(
                    "Seconds to answer",
                    "Over HTTP; passwords and codes are slow by intent, and short of a second.",
                    quantiles("samband_http_seconds", "job", ROUTES),
                    "s",
                ),
                Panel(
                    "Slowest routes",
                    "The 99th percentile of each route.",
                    (
                        (
                            "{{method}} {{route}}",
                            f"topk(10, {quantile(0.99, 'samband_http_seconds', 'method, route', ROUTES)})",
                        ),
                    ),
                    "s",
                ),
                Panel(
                    "Mails by what became of them",
                    "Expired ones were never sent; bounced ones were refused for good.",
                    (("{{kind}} {{outcome}}", rate("samband_mails_settled_total", "kind, outcome")),),
                    "ops",
                ),
                Panel(
                    "From owing a mail to its being taken",
                    "What a person waits for a code.",
                    quantiles("samband_mail_age_seconds"),
                    "s",
                ),
                Panel(
                    "What the mail server says",
                    "`later` and `outage` are tried again, `never` is not.",
                    (("{{verdict}}", rate("samband_mail_answers_total", "verdict")),),
                    "ops",
                ),
            ),
        ),
        (
            "Do people get in?",
            (
                Panel(
                    "Log-ins",
                    "By what was shown and what came of it; many refused passwords at once are somebody's guesses.",
                    (("{{method}} {{outcome}}", rate("samband_log_ins_total", "method, outcome")),),
                    "ops",
                ),
                Panel(
                    "Codes, links and reminders",
                    "What was asked for, by what became of it: `unknown_address` is nobody's, `blocked` waits out its block.",
                    (("{{purpose}} {{outcome}}", rate("samband_codes_total", "purpose, outcome")),),
                    "ops",
                ),
                Panel(
                    "Blocks after wrong passwords",
                    "By whether a mail told of it; at most three a day tell one person.",
                    (("{{outcome}}", rate("samband_blocks_total", "outcome")),),
                    "ops",
                ),
                Panel(
                    "New passwords, and log-ins turned away",
                    "By the way in which they were set; turned away are those that found too many waiting to be hashed.",
                    (
                        ("{{way}}", rate("samband_passwords_set_total", "way")),
                        ("turned away", rate("samband_hashes_refused_total", "job")),
                    ),
                    "ops",
                ),
            ),
        ),
        (
            "Does work move?",
            (
                OUTBOX_AGE,
                LAG,
                PARKED,
                Panel(
                    "Requests of systems",
                    "By what became of them; one that is not proven was signed by nobody that is known here.",
                    (("{{system}} {{outcome}}", rate("samband_requests_total", "system, outcome")),),
                    "ops",
                ),
            ),
        ),
    ),
)

DELIVERY = Board(
    "samband-delivery",
    "Samband: delivery",
    (
        (
            "Outbox and relay",
            (
                Panel(
                    "Messages in the outbox",
                    "As the leading relay sees them, every five seconds.",
                    (("{{service}}", highest("samband_outbox_depth", "service")),),
                ),
                OUTBOX_AGE,
                Panel(
                    "Written and published",
                    "By type, and by topic; they should be alike.",
                    (
                        ("written {{type}}", rate("samband_outbox_written_total", "type")),
                        ("published {{topic}}", rate("samband_outbox_published_total", "topic")),
                    ),
                    "ops",
                ),
                Panel(
                    "Messages in a relay cycle",
                    "Small while events come slowly, up to 1,000 at a backlog.",
                    quantiles("samband_relay_batch_size"),
                ),
                Panel(
                    "Relay cycles",
                    "That found something to send.",
                    (("{{job}}", rate("samband_relay_batch_size_count", "job")),),
                    "ops",
                ),
                Panel(
                    "Seconds until Kafka answers",
                    "For a batch, by what it said.",
                    quantiles("samband_relay_send_seconds", "outcome"),
                    "s",
                ),
                Panel(
                    "Sends that failed",
                    "Refused, or unknown and sent again with the same ids.",
                    (("{{outcome}}", rate("samband_relay_failures_total", "outcome")),),
                    "ops",
                ),
                Panel(
                    "Held",
                    "Keys and topics that Kafka refuses; everybody else's messages go on.",
                    (("{{service}} {{what}}", highest("samband_outbox_held", "service, what")),),
                ),
                Panel(
                    "Relays that lead",
                    "One a service.",
                    (("{{service}}", f"sum by (service) (samband_relay_leads{{{OURS}}})"),),
                ),
            ),
        ),
        (
            "Consumers",
            (
                LAG,
                Panel(
                    "Lag by partition",
                    "The ten longest; one alone is a key that is very busy, or a reader that hangs.",
                    (
                        (
                            "{{topic}} {{partition}}",
                            f"topk(10, sum by (topic, partition) (samband_consumer_lag{{{OURS}}}))",
                        ),
                    ),
                ),
                Panel(
                    "Messages by what became of them",
                    "Duplicates are dropped by the inbox; an unknown type is somebody else's.",
                    (("{{lane}} {{outcome}}", rate("samband_consumed_total", "lane, outcome")),),
                    "ops",
                ),
                Panel(
                    "Seconds from a batch's arrival to its commit",
                    "An outage that is waited out counts.",
                    quantiles("samband_consume_seconds", "lane"),
                    "s",
                ),
                Panel(
                    "Looks at which nothing moved",
                    "The watchdog's; at six the process leaves and is started again.",
                    (("{{group}}", highest("samband_unread_looks", "group")),),
                ),
                Panel(
                    "Kafka clients that failed",
                    "Each is replaced by a new one; again and again is a fault.",
                    (("{{lane}}", f"sum by (lane) (increase(samband_consumer_failures_total{{{OURS}}}[{RATE}]))"),),
                ),
                Panel(
                    "Processes that leave because they are stuck",
                    "Seen only where it is scraped while it stops: look at restarts too.",
                    (("{{group}}", f"sum by (group) (increase(samband_stuck_exits_total{{{OURS}}}[{RATE}]))"),),
                ),
            ),
        ),
        (
            "Dead letters",
            (
                Panel(
                    "Set aside",
                    "By the kind of failure; `Waits` stand behind an earlier one of their key.",
                    (("{{lane}} {{reason}}", rate("samband_set_aside_total", "lane, reason")),),
                    "ops",
                ),
                Panel(
                    "Set aside now",
                    "Waiting for their next try, and parked.",
                    (("{{service}} {{state}}", highest("samband_dead_letters", "service, state")),),
                ),
                Panel(
                    "Tries again",
                    "By what came of them; an outage does not count against a message.",
                    (("{{lane}} {{outcome}}", rate("samband_dead_letter_tries_total", "lane, outcome")),),
                    "ops",
                ),
                Panel(
                    "Parked",
                    "Each one asks for a person.",
                    (("{{lane}}", rate("samband_parked_total", "lane")),),
                    "ops",
                ),
            ),
        ),
    ),
)

PROCESSES = Board(
    "samband-processes",
    "Samband: processes",
    (
        (
            "Processes",
            (
                Panel(
                    "Versions",
                    "Two at a time only while a release rolls out.",
                    (
                        (
                            "{{service}} {{version}} (Python {{python}})",
                            f"count by (service, version, python) (samband_build_info{{{OURS}}})",
                        ),
                    ),
                ),
                Panel(
                    "Starts",
                    "How often each process was started again.",
                    (("{{job}} {{instance}}", f"changes(process_start_time_seconds{{{OURS}}}[{RATE}])"),),
                ),
                Panel(
                    "Memory",
                    "Resident.",
                    (("{{job}} {{instance}}", f"process_resident_memory_bytes{{{OURS}}}"),),
                    "bytes",
                ),
                Panel(
                    "Processor",
                    "Cores in use.",
                    (("{{job}} {{instance}}", f"rate(process_cpu_seconds_total{{{OURS}}}[{RATE}])"),),
                ),
            ),
        ),
        (
            "What holds work up",
            (
                Panel(
                    "Lag of the event loop",
                    "Whatever holds it up holds up heartbeats and answers as well.",
                    quantiles("samband_loop_lag_seconds", "job"),
                    "s",
                ),
                Panel(
                    "Postgres connections in use",
                    "Against the most that the pools open.",
                    (
                        ("{{job}} in use", f"sum by (job) (samband_pool_in_use{{{OURS}}})"),
                        ("{{job}} at most", f"sum by (job) (samband_pool_size{{{OURS}}})"),
                    ),
                ),
                Panel(
                    "Transactions that wait for a connection",
                    "More than none for long: the pool is too small, or Postgres too slow.",
                    (("{{job}}", f"sum by (job) (samband_pool_waiting{{{OURS}}})"),),
                ),
                Panel(
                    "Seconds waited for a connection",
                    "By the transactions that got one.",
                    quantiles("samband_pool_wait_seconds", "job"),
                    "s",
                ),
                Panel(
                    "Ticks that failed",
                    "Each is tried again with back-off.",
                    (("{{loop}}", rate("samband_loop_failures_total", "loop")),),
                    "ops",
                ),
                Panel(
                    "Spans",
                    "Recorded, sent, and lost because the endpoint did not take them.",
                    (("{{outcome}}", rate("samband_spans_total", "outcome")),),
                    "ops",
                ),
            ),
        ),
    ),
)

ALL = (OVERVIEW, DELIVERY, PROCESSES)
