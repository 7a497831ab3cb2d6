"""Textbook: the relay of most tutorials, to be compared with ours and for nothing else.

Every 100 ms it locks the oldest rows past those that others have locked, sends each with a `send` of its own, awaits
all acknowledgements, deletes the rows and commits; after a full batch it goes on at once.
"""

import asyncio
import json
import time
from collections.abc import Iterable

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.samples import Samples

POLL_SECONDS = 0.1
BATCH = 1000

CLAIM = """
select id, message_id, topic, key, headers, payload, created_at from outbox order by id limit $1
for update skip locked"""
DELETE = "delete from outbox where id = any($1::bigint[])"


class TextbookRelay:
    """Runs until stopped; a failure ends it, for a measurement that failed is none."""

    def __init__(self, url: str, bootstrap: str, topic_prefix: str, samples: Samples) -> None:
        self._url = url
        self._bootstrap = bootstrap
        self._prefix = topic_prefix
        self._samples = samples
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True, compression_type="lz4"
        )
        await producer.start()
        conn = await asyncpg.connect(self._url)
        try:
            while not self._stopping.is_set():
                if await self._tick(conn, producer) < BATCH:
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            await conn.close()
            await producer.stop()

    async def _tick(self, conn: "asyncpg.Connection[asyncpg.Record]", producer: AIOKafkaProducer) -> int:
        async with conn.transaction():
            rows = await conn.fetch(CLAIM, BATCH)
            await self._send(producer, rows)
            await conn.execute(DELETE, [row["id"] for row in rows])
        return len(rows)

    async def _send(self, producer: AIOKafkaProducer, rows: Iterable[asyncpg.Record]) -> None:
        sent = [
            await producer.send(
                self._prefix + row["topic"],
                key=row["key"].encode(),
                value=row["payload"],
                headers=_headers(row),
            )
            for row in rows
        ]
        for row, acknowledged in zip(rows, sent, strict=True):
            await acknowledged
            self._samples.add(row["message_id"].bytes, time.monotonic_ns())


def _headers(row: asyncpg.Record) -> list[tuple[str, bytes]]:
    headers = {"ce_time": row["created_at"].isoformat(), "ce_sequence": f"{row['id']:020d}"} | json.loads(
        row["headers"]
    )
    return [(name, value.encode()) for name, value in headers.items()]
