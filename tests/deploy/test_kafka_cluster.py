"""Clusters: how often a record is kept, and who has to have it, by the number of nodes."""

import pytest

from deploy.local.kafka import Quorum


@pytest.mark.parametrize(("size", "replicas", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_a_cluster_of_three_keeps_three_copies_and_acknowledges_with_two(
    size: int, replicas: str, in_sync: str
) -> None:
    quorum = Quorum.of(size)
    for seat in quorum.seats:
        settings = quorum.settings(seat)
        assert settings["default.replication.factor"] == settings["offsets.topic.replication.factor"] == replicas
        assert settings["min.insync.replicas"] == settings["transaction.state.log.min.isr"] == in_sync
        assert settings["node.id"] == str(seat.number)
        assert settings["controller.quorum.voters"].count("@") == size


def test_the_nodes_of_a_cluster_have_ports_and_numbers_of_their_own() -> None:
    seats = Quorum.of(3).seats
    assert [seat.number for seat in seats] == [1, 2, 3]
    assert len({port for seat in seats for port in (seat.port, seat.controller_port)}) == 6
