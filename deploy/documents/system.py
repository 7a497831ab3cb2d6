"""System: which services there are, who says each message, and who reads it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass

from chassis.handlers import Lane
from contracts import catalogue
from contracts.message import Message
from contracts.topics import Topic
from deploy.local.folders import CHECKOUT

OTHERS = "other systems"


@dataclass(frozen=True, slots=True)
class Reading:
    """A service acts on a message: in which lane, and the name of the function that does."""

    service: str
    message: type[Message]
    lane: Lane
    handler: str

    @property
    def group(self) -> str:
        """Name the consumer group, as it is without a prefix."""
        return f"{self.service}.{self.lane}"


@dataclass(frozen=True, slots=True)
class Service:
    """A service as others see it."""

    name: str
    version: str
    about: str


@dataclass(frozen=True, slots=True)
class System:
    """All services, messages and readings, each in a fixed order."""

    services: tuple[Service, ...]
    messages: tuple[type[Message], ...]
    readings: tuple[Reading, ...]

    def readers(self, message: type[Message]) -> list[Reading]:
        """Give who acts on a message; a fact may have none yet."""
        return [reading for reading in self.readings if reading.message is message]

    def said_by(self, service: str) -> list[type[Message]]:
        """Give what a service publishes."""
        return [message for message in self.messages if writer(message) == service]

    def read_by(self, service: str) -> list[Reading]:
        """Give what a service acts on."""
        return [reading for reading in self.readings if reading.service == service]

    def writers_of(self, topic: Topic) -> list[str]:
        """Name who writes to a topic: its owner also while it has nothing to say yet."""
        return sorted({writer(message) for message in self.messages if message.topic == topic} or {topic.owner})

    def readers_of(self, topic: Topic) -> list[str]:
        """Name the services that read a topic."""
        return sorted({reading.service for reading in self.readings if reading.message.topic == topic})

    def groups_of(self, topic: Topic) -> list[str]:
        """Name the consumer groups that read a topic."""
        return sorted({reading.group for reading in self.readings if reading.message.topic == topic})


def writer(message: type[Message]) -> str:
    """Name who publishes a message: the topic's owner, or other systems where it takes requests."""
    return OTHERS if message.topic.takes_requests else message.topic.owner


def found(names: Iterable[str] | None = None) -> System:
    """Look at the services that the checkout has, as their composition roots declare them."""
    names = names or sorted(root.parent.name for root in (CHECKOUT / "services").glob("*/__main__.py"))
    services, readings = [], []
    for name in names:
        declared = importlib.import_module(f"services.{name}.__main__").SERVICE
        about = inspect.getdoc(importlib.import_module(f"services.{name}")) or ""
        services.append(Service(name, declared.version, about))
        readings += [Reading(name, message, lane, by) for lane, message, by in declared.handlers.registered()]
    return System(tuple(services), tuple(catalogue.messages()), tuple(readings))
