"""Restores: the outbox counts on above all that it, or the lost time, can have given."""

import pytest

from chassis import restores
from tests.conftest import Clone
from tests.support.effects import Owner

FAR = 10**17
"""Above what the clock gives, as after a restore on a machine whose clock was wrong."""


@pytest.mark.goal("rel-R11")
async def test_the_outbox_never_counts_on_from_below_what_it_has_given(clone: Clone, owner: Owner) -> None:
    await owner.execute("select setval(pg_get_serial_sequence('things.outbox', 'id'), $1::bigint)", FAR)
    await owner.execute("create table things.spoilt ()")  # This database is not given to another test.
    first = await restores.raise_sequence(clone.urls("things").owner, "things")
    assert first == FAR + 1
    assert await restores.raise_sequence(clone.urls("things").owner, "things") == first + 1
