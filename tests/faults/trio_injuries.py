"""What is done to three brokers and could not be done to one: with one of them away, everything goes on."""

from collections.abc import Mapping

from tests.faults.injuries import Injury, Scene
from tests.faults.ledger.messages import ENTRIES
from tests.faults.trio import Trio

FENCED_SECONDS = 13.0
"""Longer than the 9 s after which the controller gives a silent broker's partitions away."""


async def crash_controller(scene: Scene) -> None:
    """SIGKILL the node that leads the quorum: the others elect another before anything else can be decided."""
    async with scene.stage.servers:
        trio = _trio(scene)
        await trio.kill(trio.cluster.controller())


async def crash_leader(scene: Scene) -> None:
    """SIGKILL a node that takes the ledger's records."""
    async with scene.stage.servers:
        trio = _trio(scene)
        await trio.kill(await trio.cluster.partition_leader(*_place(scene)))


async def freeze_leader(scene: Scene) -> None:
    """Freeze a node that takes the ledger's records until another one does; it wakes and believes that it still leads."""
    async with scene.stage.servers:
        trio = _trio(scene)
        await trio.freeze(await trio.cluster.partition_leader(*_place(scene)), FENCED_SECONDS)


async def restart_in_turn(scene: Scene) -> None:
    """Stop each broker in order and start it again, one after another."""
    async with scene.stage.servers:
        await _trio(scene).restart_in_turn()


TRIO_INJURIES: Mapping[str, Injury] = {
    "crash controller": crash_controller,
    "crash leader": crash_leader,
    "freeze leader": freeze_leader,
    "restart in turn": restart_in_turn,
}
BROKER_INJURIES = ("pause kafka", "crash kafka", *TRIO_INJURIES)
TRIO_SHARES = tuple((name, 1) for name in TRIO_INJURIES)


def _place(scene: Scene) -> tuple[str, int]:
    return scene.stage.platform.topic_prefix + ENTRIES.name, scene.chance.randrange(ENTRIES.partitions)


def _trio(scene: Scene) -> Trio:
    assert isinstance(scene.stage.broker, Trio), "these injuries are for three brokers"
    return scene.stage.broker
