"""Logging: one JSON object a line; ids yes, people's data and secrets no."""

import logging
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, TextIO

import structlog
from pydantic import SecretStr
from structlog.types import EventDict, WrappedLogger

from chassis import tracing
from chassis.dead_letters import describe
from contracts.privacy import Sealed

MASK = "…"
SECRET_NAMES = frozenset(
    {"address", "authorization", "code", "cookie", "email", "name", "password", "payload", "phone", "pin", "recipient",
     "secret", "session", "token", "value"}
)  # fmt: skip
NOISY = ("aiokafka", "uvicorn.error", "asyncio")
AGAIN_SECONDS = 10.0


def configure(service: str, role: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log line of this process, also of libraries, to standard output (or `stream`) as JSON."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name(service, role),
        name_trace,
        show_failures,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(_Seldom())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, getattr(logging, level)))


class _Seldom(logging.Filter):
    """Lets Kafka's client say the same again only after a while: with no broker there it would, two hundred times a second."""

    def __init__(self) -> None:
        super().__init__("aiokafka")
        self._until: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return True
        said, now = str(record.msg), time.monotonic()
        if now < self._until.get(said, now):
            return False
        self._until[said] = now + AGAIN_SECONDS
        return True


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what stands under a name that may hold a person's data or a secret, at any depth."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if name.lower() in SECRET_NAMES or isinstance(value, (Sealed, SecretStr, bytes, bytearray, memoryview)):
        return MASK
    if isinstance(value, BaseException):
        return describe(value)
    if isinstance(value, dict):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_masked("", inner) for inner in value]
    return value


def name_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say in which trace this happened, so that one leads to the other."""
    event.update(tracing.ids())
    return event


def show_failures(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace an exception by its types and places; texts of foreign exceptions may quote a row, so they are left out."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["failure"] = list(_chain(error))
    return event


def _chain(error: BaseException) -> Iterator[dict[str, Any]]:
    """Give an error, those of a group, and what led to each, every one once: a chain may go round."""
    waiting: list[BaseException | None] = [error]
    shown: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if each is None or id(each) in shown:
            continue
        shown.add(id(each))
        frames = traceback.extract_tb(each.__traceback__)[-12:]
        yield {
            "error": describe(each),
            "at": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
        }
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        waiting.append(each.__cause__ or each.__context__)


def _name(service: str, role: str) -> Any:
    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        event.setdefault("role", role)
        return event

    return name
