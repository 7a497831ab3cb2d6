"""Shares: which worker reads which partitions of the ledger's topic, as Kafka itself describes the group."""

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from tests.faults.ledger.messages import ENTRIES
from tests.faults.stage import Stage
from tests.support.waiting import until

Shares = Mapping[str, frozenset[int]]
"""Partitions by Kafka's id of the member."""


async def of(stage: Stage) -> Shares | None:
    """Give the shares of the mirror's workers; None while the group is sharing out."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.broker.bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        (described,) = await admin.describe_consumer_groups([f"{stage.platform.topic_prefix}mirror.normal"])
    except KafkaError:
        return None
    finally:
        await admin.close()
    ((error, _, state, _, _, members, *_),) = described.groups
    if error or state != "Stable":
        return None
    return {member_id: _partitions(assignment) for member_id, _, _, _, assignment, *_ in members}


async def shared_out(stage: Stage, workers: int, *, seconds: float) -> Shares:
    """Wait until so many workers have a share each, and every partition is one's alone."""

    async def found() -> Shares | None:
        shares = await of(stage)
        return shares if shares is not None and is_fair(shares, workers) else None

    return await until(found, what=f"the partitions of {workers} workers", seconds=seconds)


def is_fair(shares: Shares, workers: int) -> bool:
    """Tell whether each worker has a partition and each partition one worker."""
    given = sorted(partition for share in shares.values() for partition in share)
    return len(shares) == workers and all(shares.values()) and given == list(range(ENTRIES.partitions))


def _partitions(assignment: bytes) -> frozenset[int]:
    decoded = ConsumerProtocolMemberAssignment.decode(assignment)
    return frozenset(place.partition for place in decoded.partitions())
